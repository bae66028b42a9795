"""The rows of living workers: register, heartbeat, deregister, and the identity of the installation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from reproq.errors import MIGRATE, NotMigrated
from reproq.store.statements import Cursor, execute, fetch_all, fetch_one

SCHEMA_VERSION: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """What a worker, or a beat, tells about itself. `beats`: it fires schedules."""

    worker_id: str
    hostname: str
    pid: int
    queues: tuple[str, ...]
    executor: str
    concurrency: int
    version: str
    role: str = "worker"
    beats: bool = False


@dataclass(frozen=True, slots=True)
class Bearer:
    """The process that bears an id."""

    hostname: str
    pid: int


def forget_the_dead(cursor: Cursor, now: datetime | None = None) -> None:
    """Delete the rows of workers that nobody has seen for a day."""
    execute(cursor, "forget_workers", {"now": now})


def register(cursor: Cursor, worker: WorkerRow, stale_after_seconds: float, now: datetime | None = None) -> bool:
    """Write the worker's row. False when another process bears the id and was seen within `stale_after_seconds`."""
    params = _identity(worker) | {
        "queues": list(worker.queues),
        "executor": worker.executor,
        "concurrency": worker.concurrency,
        "version": worker.version,
        "role": worker.role,
        "beats": worker.beats,
        "stale_after_seconds": stale_after_seconds,
        "now": now,
    }
    return fetch_one(cursor, "register_worker", params) is not None


def bearer(cursor: Cursor, worker_id: str) -> Bearer:
    """Who bears the id, in the transaction in which `register` has just been refused it: that has locked the row."""
    ((hostname, pid),) = fetch_all(cursor, "bearer_of_id", {"worker_id": worker_id})
    return Bearer(hostname, pid)


def heartbeat(cursor: Cursor, worker: WorkerRow, draining: bool, now: datetime | None = None) -> datetime | None:
    """Say that the worker lives; answers since when the server runs, which tells it from one that came in its place.
    None when the worker's row is gone, or another process has taken it over."""
    params = _identity(worker) | {"draining": draining, "now": now}
    row = fetch_one(cursor, "heartbeat", params)
    return None if row is None else row[0]


def say_idle(cursor: Cursor, worker: WorkerRow, queues: Sequence[str]) -> None:
    """Say for which queues the worker waits to be woken; none: it is busy, and looks by itself."""
    execute(cursor, "say_idle", _identity(worker) | {"queues": list(queues)})


def deregister(cursor: Cursor, worker: WorkerRow) -> None:
    """Take the row away, unless another process has taken it over."""
    execute(cursor, "deregister_worker", _identity(worker))


def _identity(worker: WorkerRow) -> dict[str, Any]:
    """A row is the worker's own only with host and pid: in containers, every pid is 1."""
    return {"worker_id": worker.worker_id, "hostname": worker.hostname, "pid": worker.pid}


def installation(cursor: Cursor) -> str:
    """The uuid of this installation. Raises NotMigrated when its tables are older than this version needs."""
    row = fetch_one(cursor, "installation", {})
    if row is None or row[1] < SCHEMA_VERSION:
        found = "none" if row is None else row[1]
        raise NotMigrated(
            f"the tables are of schema version {found}, this Reproq needs {SCHEMA_VERSION}; run: {MIGRATE}"
        )
    return str(row[0])
