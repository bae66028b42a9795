"""Results: one run as Django's `get_result` asks for it, by the id that only its enqueuer was given.

It knows how such an id is written and read, and refuses to know what a TaskResult is.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from reproq.lifecycle import Status
from reproq.store.runs import MAX_RUN_ID
from reproq.store.statements import Cursor, fetch_one

_RESULT_ID: Final = re.compile(r"([1-9][0-9]{0,18})-([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One row, texts as they are stored. While it runs, its claim counts as its start until the child reports one."""

    run_id: int
    nonce: int
    task_path: str
    args_json: str
    kwargs_json: str
    queue_name: str
    priority: int
    run_after: datetime | None
    status: Status
    worker_ids: tuple[str, ...]
    max_attempts: int
    backoff_seconds: tuple[float, ...] | None
    timeout_seconds: float | None
    on_lost_contact: str
    expires_in_seconds: float | None
    enqueued_at: datetime
    started_at: datetime | None
    last_attempted_at: datetime | None
    finished_at: datetime | None
    return_json: str | None
    errors_json: str


def parse_result_id(text: object) -> tuple[int, int] | None:
    """The `(run_id, nonce)` that a result id holds, both within a bigint; None for anything that is not one."""
    match = _RESULT_ID.fullmatch(text) if isinstance(text, str) else None
    if match is None or int(match[1]) > MAX_RUN_ID:
        return None
    nonce = int(match[2], 16)
    return int(match[1]), nonce - (1 << 64) if nonce >> 63 else nonce


def get_run(cursor: Cursor, run_id: int, nonce: int, backend: str) -> StoredRun | None:
    """The run with this id, nonce and backend; None when there is none."""
    row = fetch_one(cursor, "get_run", {"run_id": run_id, "nonce": nonce, "backend": backend})
    if row is None:
        return None
    values = list(row)
    values[8], values[9] = Status(row[8]), tuple(row[9])
    values[11] = tuple(row[11]) if row[11] else None  # back-off
    return StoredRun(*values)
