"""What processes of this machine have used so far, from /proc: a worker with all below it, a server that runs here."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reproq.child.kernel import children_of, descendants_of, resident_bytes

TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds: of these processes themselves, and of all that they have started, whether it lives or was reaped."""

    own: float
    below: float

    def __sub__(self, before: "Used") -> "Used":
        return Used(self.own - before.own, self.below - before.below)


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds of one process, and of its children that it has reaped."""

    own: float
    reaped: float


def spent(pid: int) -> Spent:
    """What a process has used; nothing if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return Spent(0.0, 0.0)
    user, system, reaped_user, reaped_system = map(int, fields[11:15])
    return Spent((user + system) / TICKS_PER_SECOND, (reaped_user + reaped_system) / TICKS_PER_SECOND)


def used_by(pids: list[int]) -> Used:
    """What these workers and all below them have used so far."""
    own, below = 0.0, 0.0
    for pid in pids:
        mine = spent(pid)
        own += mine.own
        below += mine.reaped + sum(one.own + one.reaped for one in map(spent, descendants_of(pid)))
    return Used(own, below)


def resident_mib(pid: int) -> float:
    """Memory that a process holds."""
    return resident_bytes(pid) / MIB


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server whose processes are seen from here."""

    postmaster: int

    def used_seconds(self) -> float:
        """CPU of all its processes, those included that have ended."""
        main = spent(self.postmaster)
        return main.own + main.reaped + sum(spent(pid).own for pid in children_of(self.postmaster))

    @property
    def folder(self) -> Path | None:
        """Where its programs are."""
        try:
            return Path(f"/proc/{self.postmaster}/exe").readlink().parent
        except OSError:  # another user's
            return None


def local_server(backend_pid: int) -> LocalServer | None:
    """The server behind a session, if the process that answers it runs here; a number alone may be a stranger's."""
    try:
        process = Path("/proc", str(backend_pid))
        if not (process / "comm").read_text().startswith("postgres"):
            return None
        parent = int((process / "stat").read_text().rpartition(") ")[2].split()[1])
        is_server = Path("/proc", str(parent), "comm").read_text().startswith("postgres")
        return LocalServer(parent) if is_server else None
    except (OSError, ValueError):
        return None
