"""`python -m reproq.child.guard MARK`: kills what a worker had started when that worker is gone. Not for people.

Foreign programs ask the kernel for no signal at their parent's death, and an executor must not ask for them between
fork and exec (it has threads). So this process waits for the end of its stdin, which only the worker holds, and then
kills every process that has the worker's mark in its environment, also those that called setsid.
"""

import contextlib
import os
import signal
import sys
import time
from typing import Final

from reproq.child import kernel

STARTED_BY: Final = "REPROQ_STARTED_BY"
"""In the environment of all that one executor starts: its mark."""
PATIENCE_SECONDS: Final = 30.0
PAUSE_SECONDS: Final = 0.02
QUIET_LOOKS: Final = 3
"""A process has no environment for a moment while it calls exec. One that the worker was just starting is in that very
moment when the end of our stdin tells us to look: exec closes its copy of the other end first."""


def marked(entry: bytes) -> list[int]:
    """The living processes that were started with `NAME=value` in their environment. Raises OSError where no descriptor
    is left to look with."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if kernel.has_in_environment(pid, entry)]


def kill_marked(entry: bytes) -> None:
    """Kill until some looks find none, since a process may fork between being seen and being stopped; at most 30 s."""
    end, quiet = time.monotonic() + PATIENCE_SECONDS, 0
    while quiet < QUIET_LOOKS and time.monotonic() < end:
        with contextlib.suppress(OSError):  # the system has no descriptor left: it will, now that the worker is gone
            quiet = 0 if kernel.kill_families(lambda: marked(entry)) else quiet + 1
        time.sleep(PAUSE_SECONDS)


def main() -> None:
    """Wait for the end of the worker, then do it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are for the worker, which drains then and still needs this
    while os.read(0, 4096):
        pass
    kill_marked(f"{STARTED_BY}={sys.argv[1]}".encode())


if __name__ == "__main__":
    main()
