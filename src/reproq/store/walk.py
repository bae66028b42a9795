"""Reads the tables from end to end, in steps: the ids of runs batch by batch, each step a short transaction's work.

`now` is always the last parameter: None takes the database's clock; tests set it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from reproq.store.arrays import texts
from reproq.store.statements import Cursor, fetch_all, statement

TABLES: Final = ("task_runs", "reproq_workers", "reproq_logs", "periodic_tasks", "reproq_ticks", "reproq_meta")
"""Every table of ours."""


def bound_statements(cursor: Cursor, seconds: float) -> None:
    """No later statement of this transaction takes longer; psycopg raises QueryCanceled then."""
    cursor.execute(statement("bound_statements"), {"seconds": seconds})


def missing_grants(cursor: Cursor) -> list[str]:
    """The statements that would let our role read every table of ours; empty when it may."""
    return [row[0] for row in fetch_all(cursor, "missing_grants", {"tables": texts(TABLES)})]


def newest_runs(
    cursor: Cursor, up_to_id: int, limit: int, window_seconds: float | None, now: datetime | None = None
) -> Sequence[tuple[int, bool]]:
    """At most `limit` ids up to one, newest first, each with whether its run was enqueued within the window. Without a
    window all of them were."""
    params = {"up_to_id": up_to_id, "limit": limit, "window_seconds": window_seconds, "now": now}
    return [(row[0], row[1]) for row in fetch_all(cursor, "newest_runs", params)]


def older_runs(
    cursor: Cursor, up_to_id: int, limit: int, window_seconds: float, now: datetime | None = None
) -> list[int]:
    """At most `limit` ids up to one, of runs that are unfinished or finished within the window."""
    params = {"up_to_id": up_to_id, "limit": limit, "window_seconds": window_seconds, "now": now}
    return [row[0] for row in fetch_all(cursor, "older_runs", params)]
