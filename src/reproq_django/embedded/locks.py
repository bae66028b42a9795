"""One starter or stopper of a data folder at a time, across processes. The system frees the lock of a killed one."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reproq.errors import DatabaseUnavailable


@contextmanager
def exclusive(file: Path, *, timeout_seconds: float) -> Iterator[int]:
    """Hold the lock file, made if missing and given to its folder's owner; yields its descriptor.

    A child that inherits the descriptor goes on holding the lock when this process is killed.
    Raises DatabaseUnavailable after `timeout_seconds`. A link in its place is never followed: root may come by in an
    ordinary user's folder.
    """
    descriptor = _open(file)
    try:
        deadline = time.monotonic() + timeout_seconds
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"another process has been starting or stopping the server of {file.parent} for more than "
                    f"{timeout_seconds:g} s (it holds {file.name}); wait for it, or end it, then try again"
                )
            time.sleep(0.02)
        yield descriptor
    finally:
        os.close(descriptor)


def _open(file: Path) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(file, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(file, flags)
    owner = file.parent.stat()
    if owner.st_uid != os.geteuid():
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor
