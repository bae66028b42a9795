"""Reads for people: lists, one run, counts. Nothing here changes a row or scans the history."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from reproq.errors import RunNotFound
from reproq.store.runs import MAX_RUN_ID
from reproq.store.statements import Cursor, fetch_all, fetch_one


@dataclass(frozen=True, slots=True)
class RunLine:
    """One line of a list of runs."""

    id: int
    nonce: int
    task_path: str
    queue_name: str
    priority: int
    status: str
    attempts: int
    failures: int
    max_attempts: int
    enqueued_at: datetime
    due_at: datetime
    started_at: datetime | None
    last_attempted_at: datetime | None
    finished_at: datetime | None
    spec_hash: str
    waiting_reason: str | None
    error_kind: str | None
    error_class: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class RunDetail:
    """Everything about one run. The four `_json` fields are the stored texts."""

    id: int
    nonce: int
    backend: str
    task_path: str
    args_json: str
    kwargs_json: str
    spec_hash: str
    queue_name: str
    priority: int
    run_after: datetime | None
    expires_at: datetime | None
    due_at: datetime
    status: str
    attempts: int
    worker_ids: list[str]
    failures: int
    max_attempts: int
    releases: int
    worker_id: str | None
    lease_expires_at: datetime | None
    claimed_at: datetime | None
    enqueued_at: datetime
    started_at: datetime | None
    last_attempted_at: datetime | None
    finished_at: datetime | None
    return_json: str | None
    errors_json: str
    waiting_reason: str | None
    timeout_seconds: float | None
    on_lost_contact: str
    backoff_seconds: list[float] | None
    cancel_requested_at: datetime | None
    replay_of: int | None


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """One registered worker or beat. `beats`: it fires schedules; `unseen_seconds`: since its last heartbeat."""

    worker_id: str
    hostname: str
    pid: int
    queues: list[str]
    executor: str
    concurrency: int
    version: str
    started_at: datetime
    draining: bool
    role: str
    beats: bool
    unseen_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs a list shows; None lets all through. `spec_hash` may be the beginning of one; `error_kind` is that of
    the newest error; `since_seconds` counts back from now to the enqueue."""

    status: str | None = None
    queue_name: str | None = None
    task_path: str | None = None
    spec_hash: str | None = None
    error_kind: str | None = None
    since_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RunList:
    """Runs, newest first. `looked_from` is set where older runs were left out that may match: the lowest id of those
    that were looked at one by one."""

    runs: list[RunLine]
    looked_from: int | None


WINDOW: Final = 10_000
"""How many runs a filter looks at one by one, so that a list costs the same on any table."""


def list_runs(
    cursor: Cursor, only: RunFilter, *, limit: int, before_id: int = MAX_RUN_ID, now: datetime | None = None
) -> RunList:
    """The newest runs below an id. A filter sees the newest `WINDOW` runs below it and, of the whole table, the first
    `WINDOW` that run, are scheduled, are ready or ended last, and those whose spec hash begins with 12 characters."""
    everywhere = only != RunFilter()
    size = WINDOW if everywhere else limit
    start = fetch_one(cursor, "window_start", {"before_id": before_id, "size": size})
    bounds = {"from_id": start[0] if start else 0, "before_id": before_id, "size": size, "everywhere": everywhere}
    rows = fetch_all(cursor, "list_runs", asdict(only) | bounds | {"limit": limit, "now": now})
    return RunList([RunLine(*row) for row in rows], start[0] if start and len(rows) < limit else None)


def show_run(cursor: Cursor, run_id: int) -> RunDetail:
    """One run. Raises RunNotFound."""
    row = fetch_one(cursor, "show_run", {"run_id": run_id}) if abs(run_id) <= MAX_RUN_ID else None
    if row is None:
        raise RunNotFound(f"there is no run {run_id}")
    return RunDetail(*row)


def count_unfinished(cursor: Cursor) -> dict[str, int]:
    """Runs that are not finished, by status."""
    return _counts(cursor, "count_unfinished", {})


def count_finished(cursor: Cursor, window_seconds: float, now: datetime | None = None) -> dict[str, int]:
    """Runs that finished within the last `window_seconds`, by status."""
    return _counts(cursor, "count_finished", {"window_seconds": window_seconds, "now": now})


def estimate_runs(cursor: Cursor) -> int | None:
    """About how many runs there are, from the table's statistics: it costs nothing, and lags behind."""
    row = fetch_one(cursor, "estimate_runs", {})
    return None if row is None else int(row[0])


def _counts(cursor: Cursor, name: str, params: Mapping[str, Any]) -> dict[str, int]:
    return {status: count for status, count in fetch_all(cursor, name, params)}  # noqa: C416 - typed by unpacking


def list_workers(cursor: Cursor, now: datetime | None = None) -> list[WorkerLine]:
    """The workers that have a row."""
    return [WorkerLine(*row) for row in fetch_all(cursor, "list_workers", {"now": now})]
