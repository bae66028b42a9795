"""Which processes a data folder has: what its `postmaster.pid` says, checked against the process table.

The file alone proves nothing: kill -9 leaves it behind, and its number may belong to a stranger by now.
"""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A live server's main process. `ready` is false while it starts, recovers or stops."""

    pid: int
    socket_folder: Path
    started_at: int
    """Seconds since 1970."""
    ready: bool


def postmaster(data: Path) -> Postmaster | None:
    """The live server of this PGDATA folder, or None. Raises PermissionError when the folder is another user's."""
    lines = _pid_file(data)
    try:
        pid, started_at = abs(int(lines[0])), int(lines[2])
    except (ValueError, IndexError):
        return None  # cut short by a full disk, or just being written
    if not is_server(pid, data):
        return None
    state = lines[7].strip() if len(lines) > 7 else "starting"
    return Postmaster(pid, Path(lines[4] if len(lines) > 4 else ""), started_at, ready=state == "ready")


def names_a_stranger(data: Path) -> bool:
    """Whether `postmaster.pid` names a live process that is no server of this folder. Ask only when none is running."""
    lines = _pid_file(data)
    pid = lines[0].strip().lstrip("-") if lines else ""
    return pid.isdecimal() and Path("/proc", pid).exists() and not is_server(int(pid), data)


def server_processes(data: Path) -> list[int]:
    """Every live PostgreSQL process that works in this PGDATA folder: postmaster, workers, sessions."""
    return [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if is_server(pid, data)]


def orphan(socket_lock: Path) -> int | None:
    """The server that holds this socket's lock file although its data folder was deleted; None when there is none.

    PostgreSQL notices the loss within a minute only, and removes the socket then, whosever it is by that time.
    """
    try:
        pid = abs(int(socket_lock.read_text().split("\n", 1)[0]))
        process = Path("/proc", str(pid))
        ours = process.stat().st_uid == socket_lock.stat().st_uid
        deleted = os.readlink(process / "cwd").endswith(" (deleted)")
        return pid if ours and deleted and (process / "comm").read_text().startswith("postgres") else None
    except (OSError, ValueError):
        return None


def is_server(pid: int, data: Path) -> bool:
    """Whether this process is a PostgreSQL server process of this PGDATA folder.

    Each of them has the folder as its working directory. A shell that somebody left there does not count, nor does a
    process of another user: a zombie shows no directory, so it does not count either.
    """
    process = Path("/proc", str(pid))
    try:
        return (
            (process / "comm").read_text().startswith("postgres")
            and os.path.samestat((process / "cwd").stat(), data.stat())
            and process.stat().st_uid == data.stat().st_uid
        )
    except OSError:
        return False


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
