"""kill -9 of a worker loses nothing, and leaves nothing running."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.workers import alive, statuses, wait_for, worker


def pids_of(folder: Path, runs: int) -> list[int]:
    files = [path for path in folder.glob("pids-*") if path.suffix != ".part"]
    return [int(pid) for path in files for pid in path.read_text().split()] if len(files) >= runs else []


@pytest.mark.lesson("children-that-survive-a-killed-worker")
def test_children_and_their_descendants_die_with_a_worker_that_is_killed(
    dsn: str, log: Path, tmp_path: Path, enqueue: Callable[..., Any]
) -> None:
    for _ in range(2):
        enqueue("sleep_with_descendants", str(tmp_path), 600)
    with worker(dsn, log, "--concurrency", "2") as process:
        pids = wait_for("two runs to start", lambda: pids_of(tmp_path, 2))
        assert len(pids) == 8
        assert all(alive(pid) for pid in pids)
        process.kill()
        wait_for("every descendant to die", lambda: not any(alive(pid) for pid in pids), 10)


def test_runs_of_a_killed_worker_are_rescued_and_finished_by_another(
    dsn: str, log: Path, tmp_path: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    results = [enqueue("sleep_with_descendants", str(tmp_path), 600) for _ in range(2)]
    others = [enqueue("add", number, 1) for number in range(10)]
    with worker(dsn, log, "--concurrency", "2") as first:
        wait_for("two runs to start", lambda: pids_of(tmp_path, 2))
        first.kill()
    (tmp_path / "let-go").touch()
    with worker(dsn, log, "--concurrency", "2"):
        wait_for("all runs to end", lambda: statuses(pg) == {"SUCCESSFUL": 12}, 40)
    for result in [*results, *others]:
        result.refresh()
    assert [result.attempts for result in results] == [2, 2]
    assert [result.attempts for result in others] == [1] * 10
    assert [error.exception_class_path for result in results for error in result.errors] == [
        "reproq.errors.LeaseExpired"
    ] * 2
    assert log.read_text().count("run.rescued") == 2


def test_a_terminated_worker_finishes_what_runs_and_leaves_the_rest_untouched(
    dsn: str, log: Path, tmp_path: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    running = enqueue("wait_at", str(tmp_path / "gate"), str(tmp_path / "marks"))
    with worker(dsn, log, "--concurrency", "1") as process:
        wait_for("the run to start", lambda: statuses(pg) == {"RUNNING": 1})
        waiting = enqueue("add", 1, 1)
        process.send_signal(signal.SIGTERM)
        wait_for("the drain", lambda: "worker.draining" in log.read_text())
        (tmp_path / "gate").touch()
        assert process.wait(20) == 0
    for result in (running, waiting):
        result.refresh()
    assert (running.status, running.attempts) == ("SUCCESSFUL", 1)
    assert (waiting.status, waiting.attempts) == ("READY", 0)
    assert pg.execute("SELECT count(*) FROM reproq_workers").fetchone() == (0,)


def test_a_run_that_outlasts_the_drain_is_given_back_and_no_failure_is_counted(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("sleep", 600.0)
    with worker(dsn, log, "--drain-timeout", "200ms") as process:
        wait_for("the run to start", lambda: statuses(pg) == {"RUNNING": 1})
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    row = pg.execute("SELECT status, failures, releases, worker_id FROM task_runs").fetchone()
    assert row == ("READY", 0, 1, None)
