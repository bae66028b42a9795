"""The command that starts a worker here, for somebody to copy: one that this project takes, and that has work to do.

It refuses to know who works already, and what waits.
"""

import shlex
from collections.abc import Sequence
from typing import Final

from reproq.cli.queues import ALL, outside
from reproq.config import Config

MOST_NAMED: Final = 10
"""Queues in a command; for more of them it says `*`."""


def start_command(config: Config, allowed: tuple[str, ...], unserved: Sequence[str]) -> str:
    """What starts a worker here: for the queues with runs that nobody serves, if there are any. Where the configured
    queues are none that a task can be in, a worker refuses them, and those that tasks can be in are named."""
    if all(name in config.queues or ALL in config.queues for name in unserved) and not outside(config.queues, allowed):
        return worker_command(config, allowed, [])
    return worker_command(config, allowed, unserved or allowed)


def worker_command(config: Config, allowed: tuple[str, ...], queues: Sequence[str]) -> str:
    """A command as a shell takes it, for these queues, or for those that are configured."""
    words = ["reproq", "worker"]
    if config.backend != "default":
        words += ["--backend", config.backend]
    if queues:
        words += ["--queues", ",".join(queues) if len(queues) <= MOST_NAMED else ALL]
        words += ["--any-queue"] if ALL not in words and outside(queues, allowed) else []
    return shlex.join(words)
