"""Two releases at once: the run of a task that only the newer one knows is executed by that one, and soon."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.workers import TASKS, statuses, wait_for, worker

OLD = {"PROJECT_RELEASE": "old"}


def test_a_task_that_the_old_release_does_not_know_is_run_by_the_new_one(
    dsn: str, tmp_path: Path, pg: psycopg.Connection
) -> None:
    old_log, new_log = tmp_path / "old.log", tmp_path / "new.log"
    with worker(dsn, old_log, "--worker-id", "old", **OLD):
        pg.execute("INSERT INTO task_runs (task_path) VALUES (%s)", [f"{TASKS}.came_with_the_new_release"])
        wait_for("the old release to find that out", lambda: statuses(pg) == {"SCHEDULED": 1})
        (reason,) = pg.execute("SELECT waiting_reason FROM task_runs").fetchone() or [""]
        assert "came_with_the_new_release" in reason
        with worker(dsn, new_log, "--worker-id", "new"):
            # Five seconds later; after ten more the old one had another look, if the new one took so long to start.
            wait_for("the new release to run it", lambda: statuses(pg) == {"SUCCESSFUL": 1})
    row = pg.execute("SELECT attempts, failures, worker_ids, return_value::text FROM task_runs").fetchone()
    assert row == (1, 0, ["new"], '"new"')


@pytest.mark.slow
def test_while_the_old_release_is_drained_the_new_one_runs_everything(
    dsn: str, tmp_path: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    """The usual order of a deploy: producers and new workers come, the old workers go."""
    known = [enqueue("add", number, 1) for number in range(20)]
    with worker(dsn, tmp_path / "old.log", "--worker-id", "old", **OLD):
        wait_for("the old worker", lambda: statuses(pg).get("SUCCESSFUL"))
        for _ in range(5):
            pg.execute("INSERT INTO task_runs (task_path) VALUES (%s)", [f"{TASKS}.came_with_the_new_release"])
    with worker(dsn, tmp_path / "new.log", "--worker-id", "new"):
        wait_for("all runs to end", lambda: statuses(pg) == {"SUCCESSFUL": len(known) + 5})
    assert pg.execute("SELECT max(attempts), max(failures) FROM task_runs").fetchone() == (1, 0)
    by = "SELECT DISTINCT worker_ids FROM task_runs WHERE task_path LIKE '%came_with_the_new_release'"
    assert pg.execute(by).fetchall() == [(["new"],)]
