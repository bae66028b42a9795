"""What a list of runs finds, and what it says it did not look at."""

import json
from typing import Any

import pytest
from psycopg import Cursor

from reproq.store import insight
from reproq.store.insight import RunFilter, RunList, list_runs


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> int:
    """A window of three runs instead of ten thousand."""
    monkeypatch.setattr(insight, "WINDOW", 3)
    return 3


@pytest.fixture
def backlog(cursor: Cursor[Any]) -> Cursor[Any]:
    """Runs 1 to 10: one failed, one running, one scheduled, then a backlog that is ready."""
    cursor.execute("ALTER TABLE task_runs ALTER COLUMN id RESTART WITH 1")
    cursor.execute(
        "INSERT INTO task_runs (task_path, queue_name) SELECT 'app.t' || i % 2, 'q' || i FROM generate_series(1, 10) i"
    )
    cursor.execute(
        "UPDATE task_runs SET status = 'FAILED', finished_at = now(), attempts = 1, failures = 1, worker_ids = '{w}',"
        " errors = %s WHERE id = 1",
        [json.dumps([{"kind": "timeout", "message": "slow"}])],
    )
    cursor.execute(
        "UPDATE task_runs SET status = 'RUNNING', worker_id = 'w', claim_token = 1, claimed_at = now(), attempts = 1,"
        " lease_expires_at = now(), worker_ids = '{w}' WHERE id = 2"
    )
    cursor.execute("UPDATE task_runs SET status = 'SCHEDULED' WHERE id = 3")
    return cursor


def ids(found: RunList) -> list[int]:
    return [run.id for run in found.runs]


def listed(cursor: Cursor[Any], before_id: int = 1000, limit: int = 20, **only: Any) -> RunList:
    return list_runs(cursor, RunFilter(**only), limit=limit, before_id=before_id)


@pytest.mark.parametrize(
    ("only", "found"),
    [
        ({"status": "FAILED"}, [1]),
        ({"error_kind": "timeout"}, [1]),
        ({"status": "RUNNING"}, [2]),
        ({"status": "SCHEDULED"}, [3]),
        ({"status": "READY"}, [10, 9, 8, 5, 4]),  # the newest three, and three in claim order: q10, q4, q5
        ({"status": "READY", "queue_name": "q7"}, [7]),
        ({"queue_name": "q2"}, [2]),
        ({"since_seconds": 60}, [10, 9, 8, 5, 4, 3, 2, 1]),
    ],
)
def test_a_filter_finds_beyond_the_newest_what_runs_waits_or_has_ended(
    backlog: Cursor[Any], window: int, only: dict[str, Any], found: list[int]
) -> None:
    assert ids(listed(backlog, **only)) == found


def test_a_finished_run_is_found_by_its_hash_wherever_it_lies(backlog: Cursor[Any], window: int) -> None:
    (spec_hash,) = backlog.execute("SELECT spec_hash FROM task_runs WHERE id = 1").fetchone() or ("",)
    backlog.execute("UPDATE task_runs SET finished_at = finished_at - interval '1 h' WHERE id = 1")
    assert ids(listed(backlog, spec_hash=spec_hash[:12]))[-1] == 1
    assert ids(listed(backlog, spec_hash=spec_hash[:12], status="FAILED")) == [1]


def test_a_list_says_where_it_stopped_and_goes_on_from_there(backlog: Cursor[Any], window: int) -> None:
    first = listed(backlog, task_path="app.t1")
    assert first.looked_from == 8
    assert set(ids(first)) >= {9}
    second = listed(backlog, before_id=8, task_path="app.t1")
    assert (set(ids(second)) >= {7, 5}, second.looked_from) == (True, 5)
    assert listed(backlog, before_id=3, task_path="app.t1").looked_from is None


def test_a_list_that_is_full_or_has_no_filter_stopped_nowhere(backlog: Cursor[Any], window: int) -> None:
    assert listed(backlog, limit=1, task_path="app.t1").looked_from is None
    everything = listed(backlog)
    assert (ids(everything), everything.looked_from) == ([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], None)
    assert ids(listed(backlog, limit=4)) == [10, 9, 8, 7]
