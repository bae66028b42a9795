"""Claims: take runs, keep them, end them, promote what is due. Batches everywhere. What holders lost is in rescues.py.

`now` is always the last parameter: None takes the database's clock; tests and the simulation set it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

from reproq.lifecycle import Claim, Failure, Key, Kind, Status, Verdict, failure_of_kind
from reproq.output import NOTHING, Output
from reproq.spec import seed
from reproq.store import logs
from reproq.store.arrays import numbers, storable, texts
from reproq.store.runs import result_id
from reproq.store.statements import Cursor, fetch_all
from reproq.wire import Payload

PROMOTE_LIMIT: Final = 500
_RUN_ID: Final = attrgetter("run_id")
_STATUSES: Final = {status.value: status for status in Status}
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


class Finalisation(NamedTuple):
    """The end of one claim. Moments are CLOCK_MONOTONIC of this host; the database is told how long ago they were.

    `attempt` numbers the log of what was printed; `task_path` is for who tells of the end, and not stored.
    """

    run_id: int
    token: int
    verdict: Verdict
    started_s: float | None = None
    ended_s: float | None = None
    attempt: int = 0
    output: Output = NOTHING
    task_path: str | None = None

    @property
    def key(self) -> Key:
        return self.run_id, self.token

    @property
    def size(self) -> int:
        """Characters and bytes of what is to be stored, roughly."""
        error, output = self.verdict.error, self.output
        said = len(error.message) + len(error.traceback) if error else 0
        return len(self.verdict.return_json or "") + said + (0 if output is NOTHING else output.bytes_kept)


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
    """Extend the leases of these claims. Returns those still ours, each with whether to cancel it."""
    ours: dict[Key, bool] = {}
    for batch in _rounds(held, itemgetter(0)):
        tokens = dict(batch)
        params = {
            "ids": numbers(tokens),
            "tokens": numbers(tokens.values()),
            "lease_seconds": lease_seconds,
            "now": now,
        }
        for run_id, cancel in fetch_all(cursor, "renew", params):
            ours[run_id, tokens[run_id]] = cancel
    return ours


def cancel_requested(cursor: Cursor, held: Sequence[Key]) -> list[Key]:
    """Of these claims, those that are still ours and whose run is to be cancelled."""
    found: list[Key] = []
    for batch in _rounds(held, itemgetter(0)):
        tokens = dict(batch)
        params = {"ids": numbers(tokens), "tokens": numbers(tokens.values())}
        found += [(run_id, tokens[run_id]) for (run_id,) in fetch_all(cursor, "cancel_requested", params)]
    return found


def _rounds[T](items: Iterable[T], run_id: Callable[[T], int]) -> list[list[T]]:
    """The items in the order of their runs, in rounds that hold no run twice: a statement finds one token for an id."""
    ordered = sorted(items, key=run_id)
    if len({run_id(item) for item in ordered}) == len(ordered):
        return [ordered] if ordered else []
    rounds: list[list[T]] = []
    times: Counter[int] = Counter()
    for item in ordered:
        nth = times[run_id(item)]
        if nth == len(rounds):
            rounds.append([])
        rounds[nth].append(item)
        times[run_id(item)] += 1
    return rounds


def finalize(
    cursor: Cursor, batch: Sequence[Finalisation], monotonic_s: float = 0.0, now: datetime | None = None
) -> dict[Key, Status]:
    """Store the ends of claims in one statement, and what they printed. Returns the claims that were still ours, each
    with what became of its run; the others changed nothing.

    `monotonic_s` is this host's CLOCK_MONOTONIC now, against which the moments of the batch are aged.
    """
    stored: dict[Key, Status] = {}
    for items in _rounds(batch, _RUN_ID):
        stored |= _finalize(cursor, items, monotonic_s, now)
    logs.write(cursor, [(item.run_id, item.attempt, item.output) for item in batch if item.key in stored])
    return stored


def takes_one_statement(batch: Sequence[Finalisation]) -> bool:
    """Whether `finalize` stores this batch by one statement: no run comes twice, and none has printed anything."""
    return len({item.run_id for item in batch}) == len(batch) and not any(item.output.bytes_total for item in batch)


def _finalize(
    cursor: Cursor, items: Sequence[Finalisation], monotonic_s: float, now: datetime | None
) -> dict[Key, Status]:
    verdicts = [item.verdict for item in items]
    tokens = {item.run_id: item.token for item in items}
    params = _UNUSUAL | {
        "ids": numbers(tokens),
        "tokens": numbers(tokens.values()),
        "return_values": texts([verdict.return_json for verdict in verdicts]),
        "started_ago_seconds": numbers([_ago(item.started_s, monotonic_s) for item in items]),
        "ended_ago_seconds": numbers([_ago(item.ended_s, monotonic_s) for item in items]),
        "now": now,
    }
    if any(verdict.status is not Status.SUCCESSFUL for verdict in verdicts):
        params |= _unusual(verdicts)
    rows = fetch_all(cursor, "finalize", params)
    return {(run_id, tokens[run_id]): _STATUSES[status] for run_id, status in rows}


def _unusual(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """What a batch must say only where not every run of it has succeeded."""
    reasons = [verdict.waiting_reason for verdict in verdicts]
    return {
        "statuses": texts([verdict.status.value for verdict in verdicts]),
        "errors": texts([_error_json(verdict.error) for verdict in verdicts]),
        "delays_seconds": numbers([verdict.delay_seconds for verdict in verdicts]),
        "counts_failures": numbers([verdict.counts_failure for verdict in verdicts]),
        "counts_releases": numbers([verdict.counts_release for verdict in verdicts]),
        "undo_attempts": numbers([verdict.undo_attempt for verdict in verdicts]),
        "waiting_reasons": texts([reason and storable(reason) for reason in reasons]),
    }


def _error_json(failure: Failure | None) -> str | None:
    if failure is None:
        return None
    entry = {
        "kind": failure.kind.value,
        "exception_class": failure.exception_class,
        "message": failure.message,
        "traceback": failure.traceback,
    }
    return json.dumps({name: storable(text) for name, text in entry.items()})


_CANCELLED: Final = _error_json(failure_of_kind(Kind.CANCELLED, "cancelled by request: it gets no other attempt"))


_UNUSUAL: Final[dict[str, Any]] = dict.fromkeys(_unusual([])) | {"cancelled": _CANCELLED}


def _ago(moment_s: float | None, monotonic_s: float) -> float | None:
    return None if moment_s is None else max(0.0, monotonic_s - moment_s)


def promote(cursor: Cursor, limit: int = PROMOTE_LIMIT, now: datetime | None = None) -> int:
    """Make due SCHEDULED runs READY; returns how many."""
    return len(fetch_all(cursor, "promote", {"limit": limit, "now": now}))
