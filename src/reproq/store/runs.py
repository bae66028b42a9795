"""Runs, as producers see them: enqueue one, copy one, find one by its spec.

`now` is always the last parameter: None takes the database's clock; tests and the simulation set it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from reproq.errors import RunNotFound
from reproq.spec import Spec
from reproq.store.arrays import numbers, texts
from reproq.store.statements import Cursor, execute, fetch_all, fetch_one

MAX_RUN_ID: Final = (1 << 63) - 1
STOP: Final = "stop"
CONTINUE: Final = "continue"
"""What a child does while its worker has lost the database: `on_lost_contact` of its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a producer says of runs beside their specs. At most one of `run_after` and `delay_seconds` is set. A run
    that no worker has started `expires_in_seconds` after it was due, or enqueued if that came later, never starts."""

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


class NewRun(NamedTuple):
    """What `enqueue` writes. Runs of one task share their terms, which travel once a batch."""

    spec: Spec
    nonce: int
    terms: Terms = Terms()


class Enqueued(NamedTuple):
    """What the database answered: its id, its clock, when the run falls due if the caller set that, and whether it has
    asked, after its commit, who waits for the run."""

    run_id: int
    enqueued_at: datetime
    run_after: datetime | None
    has_asked: bool = False


class EnqueuedMany(NamedTuple):
    """What the database answered for a batch, in the order of its runs. `run_afters` is None where no run has one."""

    run_ids: Sequence[int]
    enqueued_at: datetime
    run_afters: Sequence[datetime | None] | None


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
    spec, terms = run.spec, run.terms
    row = fetch_one(
        cursor,
        "enqueue",
        {
            "nonce": run.nonce,
            "backend": terms.backend,
            "task_path": spec.task_path,
            "args": spec.args_json,
            "kwargs": spec.kwargs_json,
            "spec_hash": spec.spec_hash,
            "queue_name": terms.queue_name,
            "priority": terms.priority,
            "run_after": terms.run_after,
            "delay_seconds": terms.delay_seconds,
            "max_attempts": terms.max_attempts,
            "backoff_seconds": None if terms.backoff_seconds is None else list(terms.backoff_seconds),
            "timeout_seconds": terms.timeout_seconds,
            "expires_in_seconds": terms.expires_in_seconds,
            "on_lost_contact": terms.on_lost_contact,
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
    if not batch:
        return []
    send_many(cursor, batch, now)
    run_ids, enqueued_at, run_afters = answers_to_many(cursor)
    pairs = zip(run_ids, run_afters or [None] * len(run_ids), strict=True)
    return [Enqueued(run_id, enqueued_at, run_after) for run_id, run_after in pairs]


def send_many(cursor: Cursor, batch: Sequence[NewRun], now: datetime | None = None) -> None:
    """The first half of `enqueue_many`, for one run at least. In a pipeline it does not wait for the database."""
    specs, nonces, terms_of_runs = zip(*batch, strict=True)
    task_paths, args, kwargs, spec_hashes, _ = zip(*specs, strict=True)
    terms = list({id(one): one for one in terms_of_runs}.values())  # by identity: to compare them costs more
    places = {id(one): place for place, one in enumerate(terms, start=1)}
    backoffs = (None if one.backoff_seconds is None else numbers(one.backoff_seconds) for one in terms)
    params = {
        "nonces": numbers(nonces),
        "task_paths": texts(task_paths),
        "args": texts(args),
        "kwargs": texts(kwargs),
        "spec_hashes": texts(spec_hashes),
        "terms": numbers(places[id(one)] for one in terms_of_runs),
        "backends": texts(one.backend for one in terms),
        "queue_names": texts(one.queue_name for one in terms),
        "priorities": numbers(one.priority for one in terms),
        "run_afters": texts(None if one.run_after is None else one.run_after.isoformat() for one in terms),
        "delays_seconds": numbers(one.delay_seconds for one in terms),
        "expires_in_seconds": numbers(one.expires_in_seconds for one in terms),
        "max_attempts": numbers(one.max_attempts for one in terms),
        "backoffs_seconds": texts(backoffs),
        "timeouts_seconds": numbers(one.timeout_seconds for one in terms),
        "on_lost_contacts": texts(one.on_lost_contact for one in terms),
        "now": now,
    }
    execute(cursor, "enqueue_many", params)


def answers_to_many(cursor: Cursor) -> EnqueuedMany:
    """The second half: the answers to what this cursor sent."""
    return EnqueuedMany(*cursor.fetchone())


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
