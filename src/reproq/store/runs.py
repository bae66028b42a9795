"""Runs, as producers see them: enqueue one, copy one, find one by its spec.

`now` is always the last parameter: None takes the database's clock; tests and the simulation set it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from reproq.errors import RunNotFound
from reproq.spec import Spec
from reproq.store.arrays import numbers, texts
from reproq.store.statements import Cursor, execute, fetch_all, fetch_one

MAX_RUN_ID: Final = (1 << 63) - 1
STOP: Final = "stop"
CONTINUE: Final = "continue"
"""What a child does while its worker has lost the database: `on_lost_contact` of its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What `enqueue` writes. At most one of `run_after` and `delay_seconds` is set. A run that no worker has started
    `expires_in_seconds` after it was due, or after its enqueue if that came later, never starts."""

    spec: Spec
    nonce: int
    backend: str = "default"
    queue_name: str = "default"
    priority: int = 0
    run_after: datetime | None = None
    delay_seconds: float | None = None
    max_attempts: int = 3
    backoff_seconds: tuple[float, ...] | None = None
    timeout_seconds: float | None = None
    expires_in_seconds: float | None = None
    on_lost_contact: str = CONTINUE


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What the database answered: its id, its clock, when the run falls due if the caller set that, and whether it has
    asked, after its commit, who waits for the run."""

    run_id: int
    enqueued_at: datetime
    run_after: datetime | None
    has_asked: bool = False


def result_id(run_id: int, nonce: int) -> str:
    """The id that Django knows a run by: it cannot be guessed, and names no other run after a fail-over."""
    return f"{run_id}-{nonce & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def enqueue(
    cursor: Cursor, run: NewRun, now: datetime | None = None, *, wake_within_seconds: float | None = None
) -> Enqueued:
    """Insert one run in the caller's transaction.

    With `wake_within_seconds` there must be none: the database commits the run, then wakes the workers that wait for
    its queue, if it falls due within that time. Where that fails, the answer says that nobody was asked.
    """
    row = fetch_one(
        cursor,
        "enqueue",
        {
            "nonce": run.nonce,
            "backend": run.backend,
            "task_path": run.spec.task_path,
            "args": run.spec.args_json,
            "kwargs": run.spec.kwargs_json,
            "spec_hash": run.spec.spec_hash,
            "queue_name": run.queue_name,
            "priority": run.priority,
            "run_after": run.run_after,
            "delay_seconds": run.delay_seconds,
            "max_attempts": run.max_attempts,
            "backoff_seconds": None if run.backoff_seconds is None else list(run.backoff_seconds),
            "timeout_seconds": run.timeout_seconds,
            "expires_in_seconds": run.expires_in_seconds,
            "on_lost_contact": run.on_lost_contact,
            "wake_within_seconds": wake_within_seconds,
            "now": now,
        },
    )
    assert row is not None, "a CALL with OUT parameters gives a row or raises"  # noqa: S101
    return Enqueued(*row)


def enqueue_many(cursor: Cursor, batch: Sequence[NewRun], now: datetime | None = None) -> list[Enqueued]:
    """Insert many runs by one statement in the caller's transaction; the answers are in the order of the runs.

    All texts travel in one message of at most 1 GB: give some thousands at a time.
    """
    send_many(cursor, batch, now)
    return answers_to_many(cursor)


def send_many(cursor: Cursor, batch: Sequence[NewRun], now: datetime | None = None) -> None:
    """The first half of `enqueue_many`. In a pipeline it does not wait for the database."""
    backoffs = (None if run.backoff_seconds is None else numbers(run.backoff_seconds) for run in batch)
    params = {
        "nonces": numbers(run.nonce for run in batch),
        "backends": texts(run.backend for run in batch),
        "task_paths": texts(run.spec.task_path for run in batch),
        "args": texts(run.spec.args_json for run in batch),
        "kwargs": texts(run.spec.kwargs_json for run in batch),
        "spec_hashes": texts(run.spec.spec_hash for run in batch),
        "queue_names": texts(run.queue_name for run in batch),
        "priorities": numbers(run.priority for run in batch),
        "run_afters": texts(None if run.run_after is None else run.run_after.isoformat() for run in batch),
        "delays_seconds": numbers(run.delay_seconds for run in batch),
        "expires_in_seconds": numbers(run.expires_in_seconds for run in batch),
        "max_attempts": numbers(run.max_attempts for run in batch),
        "backoffs_seconds": texts(backoffs),
        "timeouts_seconds": numbers(run.timeout_seconds for run in batch),
        "on_lost_contacts": texts(run.on_lost_contact for run in batch),
        "now": now,
    }
    execute(cursor, "enqueue_many", params)


def answers_to_many(cursor: Cursor) -> list[Enqueued]:
    """The second half: the answers to what this cursor sent."""
    rows = sorted(cursor.fetchall())  # RETURNING promises no order; the ids have been drawn in ours
    return [Enqueued(*row) for row in rows]


def wake(cursor: Cursor, queue_names: Iterable[str], now: datetime | None = None) -> None:
    """Tell the workers that wait for these queues to look. To be called when the runs are committed, not before: a
    worker that falls idle in between would neither see them nor be told."""
    fetch_all(cursor, "wake", {"queue_names": texts(queue_names), "now": now})


def requeue(cursor: Cursor, run_id: int, now: datetime | None = None) -> tuple[int, str]:
    """A new run with the same stored spec; returns its id and spec hash. Raises RunNotFound."""
    row = fetch_one(cursor, "requeue", {"run_id": run_id, "now": now})
    if row is None:
        raise RunNotFound(f"there is no run {run_id}")
    return row[0], row[1]


def latest_of_spec(cursor: Cursor, spec_hash: str) -> int:
    """The id of the newest finished run of a spec. Raises RunNotFound."""
    row = fetch_one(cursor, "latest_of_spec", {"spec_hash": spec_hash})
    if row is None:
        raise RunNotFound(f"no finished run has the spec hash {spec_hash}")
    return int(row[0])
