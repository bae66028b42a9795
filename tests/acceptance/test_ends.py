"""Poison, deploys, expiry, connections: what happens around a run must not spoil the next one."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.workers import reproq, statuses, wait_for, worker


@pytest.mark.lesson("poison-task-runs-for-ever")
def test_a_task_that_kills_its_worker_fails_in_the_end_and_costs_its_neighbour_one_attempt_each_time(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    poison, neighbour = enqueue("kill_worker"), enqueue("sleep", 3, max_attempts=5)
    for _ in range(20):
        with worker(dsn, log, "--concurrency", "2") as process:
            wait_for(
                "the worker to be killed, or all to end",
                lambda p=process: p.poll() is not None or statuses(pg) == {"FAILED": 1, "SUCCESSFUL": 1},
            )
        if statuses(pg) == {"FAILED": 1, "SUCCESSFUL": 1}:
            break
    poison.refresh()
    neighbour.refresh()
    assert [error.exception_class_path for error in poison.errors] == ["reproq.errors.LeaseExpired"] * 2
    assert neighbour.attempts <= 3


@pytest.mark.lesson("sigterm-on-deploy-kills-tasks-and-burns-attempts")
def test_deploys_use_up_no_attempt_of_a_run_that_takes_longer_than_they_wait(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any], tmp_path: Path
) -> None:
    mark = tmp_path / "begun"
    result = enqueue("ignore_term", 600, str(mark), max_attempts=1)
    for deploy in range(1, 4):
        mark.unlink(missing_ok=True)
        with worker(dsn, log, "--drain-timeout", "500ms") as process:
            wait_for("the task to begin", mark.exists)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, "unasked, a drain takes longer than that"
        row = pg.execute("SELECT status, attempts, failures, releases FROM task_runs").fetchone()
        assert row == ("READY", deploy, 0, deploy)
    result.refresh()
    assert result.errors == []


def test_a_second_signal_stops_the_worker_now_and_the_run_is_not_lost(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("ignore_term", 600)
    with worker(dsn, log, "--drain-timeout", "60s", "--kill-grace", "30s") as process:
        wait_for("the run to start", lambda: statuses(pg) == {"RUNNING": 1})
        process.send_signal(signal.SIGTERM)
        wait_for("the drain", lambda: "worker.draining" in log.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert statuses(pg) == {"READY": 1}


def test_fifty_short_runs_are_drained_at_once(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    for _ in range(400):
        enqueue("add", 1, 1)
    mock = {"EXEC_MODE": "mock", "EXEC_SLEEP": "10ms"}
    with worker(dsn, log, "--concurrency", "50", **mock) as process:
        wait_for("some runs to end", lambda: statuses(pg).get("SUCCESSFUL", 0) > 50)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert set(statuses(pg)) <= {"SUCCESSFUL", "READY"}
    assert pg.execute("SELECT max(attempts) FROM task_runs WHERE status = 'READY'").fetchone() in [(0,), (None,)]


def test_a_run_that_starts_too_late_does_not_start(
    dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("must_start_soon")
    pg.execute("UPDATE task_runs SET enqueued_at = enqueued_at - interval '1 minute', expires_at = now()")
    reproq(dsn, "worker", "--burst")
    result.refresh()
    assert (result.status, result.attempts) == ("FAILED", 0)
    assert result.errors[0].exception_class_path == "reproq.errors.RunExpired"


@pytest.mark.lesson("connections-left-broken-after-a-database-restart")
@pytest.mark.parametrize("executor", ["fork", "pool"])
def test_a_run_after_the_server_has_dropped_every_connection_finds_a_good_one(
    executor: str, dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    with worker(dsn, log, "--concurrency", "1", "--executor", executor):
        results = []
        for _ in range(3):
            results.append(enqueue("backend_pid"))
            wait_for("the run to end", lambda: statuses(pg) == {"SUCCESSFUL": len(results)})
            pg.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"  # and wait until it is gone
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            from django.db import connections

            connections.close_all()  # the enqueuing test's own was dropped, too
    for result in results:
        result.refresh()
    assert [result.attempts for result in results] == [1, 1, 1]


@pytest.mark.lesson("memory-that-grows-in-debug")
@pytest.mark.parametrize("executor", ["fork", "pool"])
def test_queries_that_django_remembers_in_debug_end_with_their_run(
    executor: str, dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    results = [enqueue("queries_kept", 50) for _ in range(4)]
    reproq(dsn, "worker", "--burst", "--concurrency", "1", "--executor", executor, PROJECT_DEBUG="1")
    for result in results:
        result.refresh()
    assert [result.return_value for result in results] == [[0, 50]] * 4
