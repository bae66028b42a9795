"""Claims: take runs, keep them, promote what is due, in batches. finalising.py ends them, rescues.py ends lost ones.

`now` is always the last parameter: None takes the database's clock; tests and the simulation set it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple

from reproq.lifecycle import Claim, Key
from reproq.spec import seed
from reproq.store.arrays import numbers, rounds, texts
from reproq.store.runs import result_id
from reproq.store.statements import Cursor, fetch_all
from reproq.wire import Payload

PROMOTE_LIMIT: Final = 500
OTHERS_FIRST_SECONDS: Final = 10.0
"""How long a run whose task this worker does not know is left to those who may know it."""


class Claimed(NamedTuple):
    """One claimed run: what `decide` needs and what the child gets. `waited_seconds`: from due to claimed.

    `expired` is set when it was to start by a moment that has passed, and has never started, and `must_not_overlap`
    where it says `on_lost_contact="stop"`. `next_due_seconds` is what the same look saw of the whole table: in how long
    the next SCHEDULED run falls due, None when there is none.
    """

    claim: Claim
    payload: Payload
    waited_seconds: float
    must_not_overlap: bool = False
    expired: bool = False
    next_due_seconds: float | None = None


def claim(
    cursor: Cursor,
    *,
    queues: Sequence[str],
    limit: int,
    token: int,
    worker_id: str,
    lease_seconds: float,
    unknown_paths: Sequence[str] = (),
    now: datetime | None = None,
) -> list[Claimed]:
    """Claim up to `limit` READY runs, the most urgent first. Commit alone: the commit is asynchronous.

    Runs of `unknown_paths` are left to other workers until they are `OTHERS_FIRST_SECONDS` overdue.
    """
    rows = fetch_all(
        cursor,
        "claim",
        {
            "queues": list(queues),
            "limit": limit,
            "token": token,
            "worker_id": worker_id,
            "lease_seconds": lease_seconds,
            "unknown_paths": texts(unknown_paths),
            "others_first_seconds": OTHERS_FIRST_SECONDS,
            "now": now,
        },
    )
    return [_claimed(row) for row in sorted(rows, key=_urgency)]


_OF_CLAIM: Final = 9
"""So many columns, the first, are a Claim's fields in their order."""


def _urgency(row: tuple[Any, ...]) -> tuple[int, float, int]:
    return (-row[15], -row[23], row[0])  # priority descending, the longest due first, id


def _claimed(row: tuple[Any, ...]) -> Claimed:
    """Half of what a claim costs in Python is spent here: positional, and texts that PostgreSQL has written as JSON."""
    claim = Claim(*row[:_OF_CLAIM])
    if claim.backoff_seconds is not None:
        claim = claim._replace(backoff_seconds=tuple(claim.backoff_seconds))
    (nonce, backend, task_path, args, kwargs, queue_name, priority, run_after, enqueued_at) = row[9:18]
    (started_at, last_attempted_at, worker_ids, errors, timeout_seconds, waited, stops, expired, next_due) = row[18:]
    payload = Payload(
        claim.run_id,
        result_id(claim.run_id, nonce),
        backend,
        claim.attempt,
        claim.max_attempts,
        task_path,
        args,
        kwargs,
        claim.spec_hash,
        queue_name,
        priority,
        run_after and run_after[1:-1],
        enqueued_at[1:-1],
        started_at and started_at[1:-1],
        last_attempted_at and last_attempted_at[1:-1],
        tuple(worker_ids),
        errors,
        timeout_seconds,
        seed(claim.spec_hash),
    )
    return Claimed(claim, payload, waited if waited > 0.0 else 0.0, stops, expired, next_due)


def renew(cursor: Cursor, held: Sequence[Key], lease_seconds: float, now: datetime | None = None) -> dict[Key, bool]:
    """Extend the leases of these claims, but for those whose rows somebody holds just now: one lock must not cost all
    the others. Returns what was extended, each with whether to cancel it."""
    return dict(_among(cursor, "renew", held, lease_seconds=lease_seconds, now=now))


def still_ours(cursor: Cursor, held: Sequence[Key]) -> dict[Key, bool]:
    """Of these claims, those that are still ours, each with whether to cancel it. Waits for no lock."""
    return dict(_among(cursor, "still_ours", held))


def lock_ours(cursor: Cursor, held: Sequence[Key]) -> set[Key]:
    """Lock the rows of these claims, as far as they are still ours and nobody holds them. Waits for no lock."""
    return {key for key, _ in _among(cursor, "lock_ours", held)}


def cancel_requested(cursor: Cursor, held: Sequence[Key]) -> list[Key]:
    """Of these claims, those that are still ours and whose run is to be cancelled."""
    return [key for key, _ in _among(cursor, "cancel_requested", held)]


def _among(cursor: Cursor, name: str, held: Sequence[Key], **params: Any) -> Iterator[tuple[Key, bool]]:
    """What a statement answers of these claims: its rows begin with the run, and say whether to cancel it."""
    for batch in rounds(held, itemgetter(0)):
        tokens = dict(batch)
        given = params | {"ids": numbers(tokens), "tokens": numbers(tokens.values())}
        for run_id, cancel in fetch_all(cursor, name, given):
            yield (run_id, tokens[run_id]), cancel


def promote(cursor: Cursor, limit: int = PROMOTE_LIMIT, now: datetime | None = None) -> int:
    """Make due SCHEDULED runs READY; returns how many."""
    return len(fetch_all(cursor, "promote", {"limit": limit, "now": now}))
