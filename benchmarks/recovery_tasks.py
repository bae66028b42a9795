"""The tasks of benchmarks/recovery.py, as a project would have them."""

import os
import signal
import time
from pathlib import Path

from django.tasks import task

from reproq_django import options


def _began(folder: str) -> None:
    """One file for each execution; its name bears the child's pid."""
    Path(folder, f"{time.monotonic_ns()}-{os.getpid()}").touch()


@task
@options(backoff=0.0)
def sleep(folder: str, seconds: float) -> None:
    """Sleeps, and obeys TERM."""
    _began(folder)
    time.sleep(seconds)


@task
@options(backoff=0.0)
def outlast(folder: str, seconds: float) -> None:
    """Sleeps, and is deaf to TERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _began(folder)
    time.sleep(seconds)
