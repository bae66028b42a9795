"""What a bench ran on: figures of another machine mean nothing without it."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from reproq import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`load_average` is that of the minute before; on a quiet machine it is next to nothing."""

    taken_at: str
    cpus: int
    cpu_model: str
    memory_mib: int
    kernel: str
    load_average: float
    python: str
    reproq: str
    django: str
    psycopg: str
    postgresql: str


def machine(postgresql: str) -> Machine:
    """Look at it now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        cpus=len(os.sched_getaffinity(0)),
        cpu_model=_cpu_model(),
        memory_mib=memory >> 20,
        kernel=platform.release(),
        load_average=round(os.getloadavg()[0], 2),
        python=platform.python_version(),
        reproq=__version__,
        django=version("django"),
        psycopg=version("psycopg"),
        postgresql=postgresql,
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
