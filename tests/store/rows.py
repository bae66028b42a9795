"""Builds a valid run in any status by plain SQL, and reads runs back, for the tests of the store."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from psycopg import Connection, Cursor, sql

from reproq.lifecycle import Failure, Kind, Status, Verdict
from reproq.store import claims, finalising
from reproq.store.claims import Claimed
from reproq.store.finalising import Finalisation

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LEASE_SECONDS = 30.0
TOKEN = -77
HASH = "5f" * 32

_ATTEMPTED = {"attempts": 1, "worker_ids": ["w-1"]}
_ENDED = {"finished_at": NOW, "started_at": NOW, "last_attempted_at": NOW}
VALID: dict[Status, dict[str, Any]] = {
    Status.WAITING: {},
    Status.SCHEDULED: {},
    Status.READY: {},
    Status.RUNNING: _ATTEMPTED
    | {"claim_token": TOKEN, "worker_id": "w-1", "claimed_at": NOW, "lease_expires_at": NOW + timedelta(seconds=30)},
    Status.SUCCESSFUL: _ATTEMPTED | _ENDED | {"return_value": "1"},
    Status.FAILED: _ATTEMPTED | _ENDED | {"failures": 1, "errors": '[{"kind": "exception"}]'},
    Status.CANCELLED: _ATTEMPTED | _ENDED,
}
"""What a row needs besides the defaults to be valid in each status. All of them are due."""


def insert(cursor: Cursor, status: Status = Status.READY, **columns: Any) -> int:
    """Insert one run in `status`; returns its id."""
    values = {"task_path": "app.tasks.add", "spec_hash": HASH, "due_at": NOW, "enqueued_at": NOW}
    values |= {"status": status} | VALID[status] | columns
    query = sql.SQL("INSERT INTO task_runs ({}) VALUES ({}) RETURNING id").format(
        sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join([sql.Placeholder()] * len(values))
    )
    row = cursor.execute(query, list(values.values())).fetchone()
    assert row is not None
    return int(row[0])


def read(cursor: Cursor, run_id: int) -> SimpleNamespace:
    """One run; `return_value` is its stored text."""
    cursor.execute(
        "SELECT *, return_value::text AS return_text FROM task_runs WHERE id = %s",
        [run_id],
    )
    row = cursor.fetchone()
    assert row is not None
    assert cursor.description is not None
    values = dict(zip([column.name for column in cursor.description], row, strict=True))
    values["return_value"] = values.pop("return_text")
    return SimpleNamespace(**values)


def every_row(cursor: Cursor) -> list[tuple[Any, ...]]:
    """All runs byte for byte, and where each row version lies: equal lists mean that no row was written."""
    return cursor.execute("SELECT ctid, xmin, run::text FROM task_runs AS run ORDER BY id").fetchall()


def claim(cursor: Cursor, limit: int = 500, **changes: Any) -> list[Claimed]:
    """Claim as worker w-1 would, from the default queue."""
    asked: dict[str, Any] = {"queues": ["default"], "token": TOKEN, "worker_id": "w-1", "now": NOW}
    return claims.claim(cursor, limit=limit, lease_seconds=LEASE_SECONDS, **(asked | changes))


def finalize(cursor: Cursor, run_id: int, verdict: Verdict, token: int = TOKEN, **changes: Any) -> bool:
    """Finalise one run; whether it was still ours."""
    item = Finalisation(run_id, token, verdict, changes.get("started_s"), changes.get("ended_s"))
    return bool(finalising.finalize(cursor, [item], changes.get("monotonic_s", 0.0), changes.get("now", NOW)))


def failure(kind: Kind = Kind.EXCEPTION, message: str = "it went wrong", **changes: Any) -> Failure:
    return Failure(kind, "package.Error", message, **changes)


SUCCEED = Verdict(Status.SUCCESSFUL, return_json="1")
FAIL = Verdict(Status.FAILED, error=failure(), counts_failure=True)
RETRY = Verdict(Status.SCHEDULED, error=failure(), counts_failure=True, delay_seconds=8.0, waiting_reason="retry")
RELEASE = Verdict(Status.READY, counts_release=True, waiting_reason="drain")
GIVE_BACK = Verdict(Status.READY, undo_attempt=True, waiting_reason="drain")
CANCEL = Verdict(Status.CANCELLED, error=failure(Kind.CANCELLED))


ENDED_AGO = """
INSERT INTO task_runs (
    task_path, queue_name, status, attempts, worker_ids, enqueued_at, due_at, started_at, last_attempted_at,
    finished_at, return_value
)
SELECT
    'app.tasks.add', %(queue)s, %(status)s, 1, '{w}', moment, moment, moment, moment, moment,
    CASE WHEN %(status)s = 'SUCCESSFUL' THEN '1'::json END
FROM (SELECT now() - %(days)s * interval '1 day' AS moment) AS at, generate_series(1, %(runs)s)
"""


def ended_ago(pg: Connection, days: float, status: str = "SUCCESSFUL", queue: str = "default", runs: int = 1) -> None:
    """So many runs that ended so many days ago, by the database's own clock."""
    pg.execute(ENDED_AGO, {"days": days, "status": status, "queue": queue, "runs": runs})
