"""Questions about what waits: which queues hold work, when more falls due, whether any is left.

Each ends at its first row, by an order that only an index gives: min() and EXISTS drop the order, and were planned
over every SCHEDULED or READY row, or the whole table.
"""

from collections.abc import Sequence
from datetime import datetime

from reproq.store.statements import Cursor, fetch_all, fetch_one


def next_due_seconds(cursor: Cursor, now: datetime | None = None) -> float | None:
    """Seconds until the next SCHEDULED run falls due; None when there is none."""
    row = fetch_one(cursor, "next_due", {"now": now})
    return None if row is None else row[0]


def ready_queues(cursor: Cursor) -> list[str]:
    """The names of the queues that hold READY runs."""
    return [row[0] for row in fetch_all(cursor, "ready_queues", {})]


def work_left(
    cursor: Cursor,
    queues: Sequence[str] | None,
    horizon_seconds: float,
    excluded: Sequence[str] = (),
    now: datetime | None = None,
) -> bool:
    """Whether these queues (None: all but the excluded) hold a run that is READY or falls due within the horizon."""
    ready = ready_queues(cursor) if queues is None else queues
    params = {
        "ready_queues": [name for name in ready if name not in excluded],
        "queues": None if queues is None else list(queues),
        "excluded": list(excluded),
        "horizon_seconds": horizon_seconds,
        "now": now,
    }
    row = fetch_one(cursor, "work_left", params)
    return bool(row and row[0])
