"""`reproq cancel` through the real door, with real workers: how the run really ended is what the caller is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests.acceptance.workers import reproq, statuses, wait_for, worker


def number(result: Any) -> str:
    return result.id.partition("-")[0]


def test_a_run_that_has_not_started_is_cancelled_at_once(
    dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("add", 1, 2)
    said = reproq(dsn, "cancel", number(result)).stdout
    assert said == f"run {number(result)} is cancelled\n"
    assert statuses(pg) == {"CANCELLED": 1}
    result.refresh()
    assert result.errors[0].exception_class_path == "reproq.errors.RunCancelled"


def test_a_run_under_way_is_stopped_long_before_the_next_heartbeat(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("sleep", 600)
    with worker(dsn, log, "--lease", "10m", "--heartbeat", "3m"):
        wait_for("the run to start", lambda: statuses(pg) == {"RUNNING": 1})
        said = reproq(dsn, "cancel", number(result), "--wait", "30s", "--json").stdout
    assert json.loads(said)["status"] == "CANCELLED"
    took = pg.execute("SELECT extract(epoch FROM finished_at - cancel_requested_at)::float8 FROM task_runs").fetchone()
    assert took is not None
    assert took[0] < 30  # two seconds where nothing else wants the processor
    result.refresh()
    assert (result.attempts, len(result.errors)) == (1, 1)


def test_a_run_that_ignores_term_is_killed_after_the_grace_and_cancelled(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("ignore_term", 600)
    with worker(dsn, log):
        wait_for("the run to start", lambda: statuses(pg) == {"RUNNING": 1})
        said = reproq(dsn, "cancel", number(result), "--wait", "30s").stdout
    assert said == f"run {number(result)} is cancelled\n"


def test_a_finished_run_cannot_be_cancelled_and_its_end_is_told(dsn: str, enqueue: Callable[..., Any]) -> None:
    result = enqueue("add", 1, 2)
    reproq(dsn, "worker", "--burst")
    refused = reproq(dsn, "cancel", number(result), check=False)
    assert refused.returncode == 1
    assert f"run {number(result)} had ended as SUCCESSFUL at " in refused.stdout


def test_a_run_that_is_unknown_is_not_found(dsn: str) -> None:
    refused = reproq(dsn, "cancel", "77", check=False)
    assert refused.returncode == 4
    assert "there is no run 77" in refused.stderr


def test_a_run_whose_worker_is_dead_is_cancelled_when_its_lease_has_ended(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("sleep", 600)
    with worker(dsn, log) as first:
        wait_for("the run to start", lambda: statuses(pg) == {"RUNNING": 1})
        first.kill()
        first.wait()
    refused = reproq(dsn, "cancel", number(result), "--wait", "100ms", check=False)
    assert refused.returncode == 1
    assert "if that worker is dead, the run is cancelled when its lease has ended, at" in refused.stdout
    with worker(dsn, log):
        wait_for("the rescue", lambda: statuses(pg) == {"CANCELLED": 1})
