"""One program and its start: argv, environment, a stdin that never blocks, a session of its own, a bound, a pidfd.

It refuses to know what the program is for, and who reaps it.
"""

import contextlib
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from reproq.child import memory
from reproq.executors.channel import Exchange
from reproq.executors.output import OutputPipe


@dataclass(frozen=True, slots=True)
class Program:
    """What to start: its argv, its environment, and all that it can read from stdin (None: nothing)."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    stdin: bytes | None


@dataclass(frozen=True, slots=True)
class Streams:
    """Our ends of what a process writes, and its own two, which the starter closes."""

    exchange: Exchange
    output: OutputPipe
    stdout: int
    stderr: int


def launch(
    program: Program, marks: Mapping[str, str], streams: Streams, max_memory_bytes: int
) -> tuple["subprocess.Popen[bytes]", int]:
    """The started process and its pidfd. Raises OSError with nothing left behind."""
    stdin = _memory_file(program.stdin) if program.stdin is not None else os.open(os.devnull, os.O_RDONLY)
    try:
        popen = subprocess.Popen(
            program.argv,
            env={**program.environment, **marks},
            stdin=stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            start_new_session=True,
        )
    finally:
        os.close(stdin)
    try:
        with contextlib.suppress(ProcessLookupError):  # before it can have asked for much: it is still being loaded
            memory.bound(max_memory_bytes, popen.pid)
        return popen, os.pidfd_open(popen.pid)
    except OSError:  # no descriptor is left, or it has another user's rights: then we may not bound it, nor kill it
        with contextlib.suppress(PermissionError):
            popen.kill()
            popen.wait()
        raise


def _memory_file(data: bytes) -> int:
    """A file in memory that holds `data`, read from its start. Raises OSError."""
    with open(os.memfd_create("payload"), "wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        file.seek(0)
        return os.dup(file.fileno())
