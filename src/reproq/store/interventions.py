"""What people do to stored runs by hand: retry those that failed for good, cancel those that have not finished.

Both statements are fenced by the status alone: whoever comes too late changes nothing, and learns it from the answer.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from reproq.lifecycle import Kind, Status
from reproq.store.arrays import numbers, storable
from reproq.store.statements import Cursor, fetch_all

CANCELLED_EARLY: Final = "the run was cancelled before it started"


def retry(cursor: Cursor, run_ids: Iterable[int], now: datetime | None = None) -> list[int]:
    """Make FAILED runs READY, due at once, with all their attempts before them; the ids of those that were. They do not
    expire again: whoever retries a run wants it to start."""
    rows = fetch_all(cursor, "retry", {"ids": numbers(sorted(set(run_ids))), "now": now})
    return [row[0] for row in rows]


def cancel(
    cursor: Cursor, run_ids: Iterable[int], reason: str = CANCELLED_EARLY, now: datetime | None = None
) -> dict[int, Status]:
    """End WAITING, SCHEDULED and READY runs as CANCELLED, and ask the workers of RUNNING ones to stop them.

    Returns those that were found so, each with what it is now: CANCELLED, or RUNNING until its worker has stopped it.
    """
    error = {
        "kind": Kind.CANCELLED.value,
        "exception_class": "reproq.errors.RunCancelled",
        "message": storable(reason),
        "traceback": "",
    }
    params = {"ids": numbers(sorted(set(run_ids))), "error": json.dumps(error), "now": now}
    return {run_id: Status(status) for run_id, status in fetch_all(cursor, "cancel", params)}
