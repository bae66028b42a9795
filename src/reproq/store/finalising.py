"""Finalise, the one way out of RUNNING: a batch of ends by one fenced statement, and with them what was printed.

It refuses to know what becomes of a batch that the database refuses (ends.py). `now` is always the last parameter: None
takes the database's clock; tests and the simulation set it.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple

from reproq.lifecycle import Failure, Key, Kind, Status, Verdict, failure_of_kind
from reproq.output import NOTHING, Output
from reproq.store import logs
from reproq.store.arrays import numbers, rounds, storable, texts
from reproq.store.statements import Cursor, fetch_all

_RUN_ID: Final = attrgetter("run_id")
LOCK_TIMEOUT: Final = "100ms"
"""How long a batch waits for a row that somebody holds, before it is refused with LockNotAvailable: behind it wait the
renewals of all other leases."""
_STATUSES: Final = {status.value: status for status in Status}


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


def finalize(
    cursor: Cursor, batch: Sequence[Finalisation], monotonic_s: float = 0.0, now: datetime | None = None
) -> dict[Key, Status]:
    """Store the ends of claims in one statement, and what they printed. Returns the claims that were still ours, each
    with what became of its run; the others changed nothing. Raises LockNotAvailable when somebody holds a row of them.

    `monotonic_s` is this host's CLOCK_MONOTONIC now, against which the moments of the batch are aged.
    """
    stored: dict[Key, Status] = {}
    for items in rounds(batch, _RUN_ID):
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
        "lock_timeout": LOCK_TIMEOUT,
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
