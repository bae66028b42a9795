"""Deletes finished runs whose age is up, with their logs: a bounded look at a time, from the oldest end onwards.

A walk remembers where it stands, so that each run is looked at once for each age, however many are kept. It never
shares a transaction with a claim, and waits for no lock.
"""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import psycopg

from reproq.errors import MissingGrant
from reproq.retention import Rule
from reproq.store.arrays import texts
from reproq.store.db import Database, is_outage
from reproq.store.statements import Cursor, fetch_all, fetch_one
from reproq.store.unreachable import reason

BATCH: Final = 500
"""Runs that one step looks at: a few milliseconds, for which no claim of the same worker waits noticeably."""
WINDOW: Final = 10_000
"""Runs that an outlook looks at on each side."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a walk stands: behind the run with this id, which ended at this moment."""

    finished_at: datetime
    run_id: int


START: Final = Position(datetime(1, 1, 2, tzinfo=UTC), 0)


@dataclass(frozen=True, slots=True)
class PruneAnswer:
    """What one step did. `is_ours` is false when somebody else was pruning; `refusal` says why the database
    deletes nothing."""

    position: Position
    deleted: int = 0
    looked: int = 0
    is_ours: bool = True
    took_seconds: float = 0.0
    refusal: str = ""


def prune(
    cursor: Cursor, backend: str, rule: Rule, position: Position, limit: int, now: datetime | None = None
) -> PruneAnswer:
    """Look at the `limit` runs behind `position` that ended before the rule's age, and delete those that it covers."""
    bounds = {"after_at": position.finished_at, "after_id": position.run_id, "limit": limit}
    row = fetch_one(cursor, "prune", _params(backend, rule, now) | bounds)
    assert row is not None, "the statement gives one row"  # noqa: S101
    is_ours, deleted, looked, last_at, last_id = row
    return PruneAnswer(position if last_id is None else Position(last_at, last_id), deleted, looked, is_ours)


def _params(backend: str, rule: Rule, now: datetime | None) -> dict[str, object]:
    return {
        "backend": backend,
        "age_seconds": rule.age_seconds,
        "statuses": texts(rule.statuses),
        "named": texts(rule.named),
        "pairs": texts(rule.pairs),
        "now": now,
    }


@dataclass(frozen=True, slots=True)
class Prunable:
    """Runs of one status and queue whose age is up: how many, and when the first and the last of them ended."""

    status: str
    queue_name: str
    count: int
    first_ended_at: datetime
    last_ended_at: datetime


def preview(cursor: Cursor, backend: str, rule: Rule, now: datetime | None = None) -> list[Prunable]:
    """What pruning by this rule would delete now. It reads all of that: for people who ask, not for loops."""
    return [Prunable(*row) for row in fetch_all(cursor, "prune_preview", _params(backend, rule, now))]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a rule deletes next: runs that are over their age (a lower bound where `is_more`), and when the first of the
    others will be, None where none was found."""

    over: int
    is_more: bool
    next_at: datetime | None


def outlook(cursor: Cursor, backend: str, rule: Rule, now: datetime | None = None) -> Outlook:
    """A glance that costs the same on any table: `WINDOW` runs at each side of the age are looked at."""
    row = fetch_one(cursor, "prune_outlook", _params(backend, rule, now) | {"window": WINDOW})
    assert row is not None, "the statement gives one row"  # noqa: S101
    return Outlook(*row)


def queue_has_run(cursor: Cursor, queue_name: str) -> bool:
    """Whether any run is, or was, in this queue."""
    row = fetch_one(cursor, "queue_has_run", {"queue_name": queue_name})
    return row is not None and bool(row[0])


@dataclass(frozen=True, slots=True)
class PruneRuns:
    """One step of one rule's walk, in a transaction of its own. A worker that may not delete works on all the same: its
    role lacks a right, a table of the project's own points to a run, or the step takes longer than the role may."""

    backend: str
    rule: Rule
    position: Position
    limit: int = BATCH

    def run(self, database: Database, now: datetime | None) -> PruneAnswer:
        began_s = time.monotonic()
        try:
            with database.transaction() as cursor:
                answer = prune(cursor, self.backend, self.rule, self.position, self.limit, now)
        except (MissingGrant, psycopg.Error) as error:
            if is_outage(error):
                raise
            return PruneAnswer(self.position, refusal=reason(error))
        return replace(answer, took_seconds=time.monotonic() - began_s)
