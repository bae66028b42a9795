"""TERM at any moment: while a worker starts, imports the project, claims, runs, ends; once or twice. No run is lost."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.acceptance.workers import ROOT, statuses, wait_for, worker

LONG_LEASE = ("--lease", "1h", "--heartbeat", "1m")
"""No rescue can bring back what a stop has forgotten."""
KILLED = -signal.SIGTERM
"""How a process ends that had no worker yet; a shell says 143."""


def traces(pg: psycopg.Connection) -> tuple[int, int]:
    """How many runs are RUNNING, and how many workers registered."""
    row = pg.execute(
        "SELECT (SELECT count(*) FROM task_runs WHERE status = 'RUNNING'), (SELECT count(*) FROM reproq_workers)"
    ).fetchone()
    assert row is not None
    return row


def is_served(pg: psycopg.Connection) -> bool:
    return traces(pg)[1] == 1


def test_a_worker_that_is_stopped_before_it_registers_leaves_no_trace(
    dsn: str, log: Path, tmp_path: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("add", 1, 2)
    (tmp_path / "slow_settings.py").write_text(
        f"import pathlib, time\npathlib.Path({str(tmp_path / 'starting')!r}).touch()\ntime.sleep(60)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "src")])
    with worker(dsn, log, DJANGO_SETTINGS_MODULE="slow_settings", PYTHONPATH=path) as process:
        wait_for("the settings to be imported", (tmp_path / "starting").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == KILLED
    assert traces(pg) == (0, 0)
    assert statuses(pg) == {"READY": 1}


def test_a_worker_that_is_stopped_while_the_database_is_away_says_at_once_that_it_drains(dsn: str, log: Path) -> None:
    nowhere = make_conninfo(dsn, host="127.0.0.1", port="1")
    with worker(nowhere, log, "--executor", "mock") as process:
        wait_for("the worker to miss it", lambda: "database lost" in log.read_text())
        process.send_signal(signal.SIGTERM)
        wait_for("the log to say so", lambda: "worker.draining" in log.read_text(), 10)
        process.kill()


def test_a_worker_that_is_stopped_while_its_template_imports_ends_at_once_and_in_order(
    dsn: str, log: Path, tmp_path: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("add", 1, 2)
    with worker(dsn, log, PROJECT_FLAW="slow", PROJECT_MARK=str(tmp_path / "importing")) as process:
        wait_for("the import", (tmp_path / "importing").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0, log.read_text()
    assert traces(pg) == (0, 0)
    assert statuses(pg) == {"READY": 1}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_worker_that_is_stopped_at_any_moment_holds_no_run_afterwards(
    seed: int, dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    drawn = random.Random(seed)
    for number in range(60):
        enqueue("add", number, 1)
    with worker(dsn, log, *LONG_LEASE, "--concurrency", "4") as process:
        if seed % 4:  # else the moment is counted from the start of the process
            wait_for("the worker", lambda: is_served(pg))
        time.sleep(drawn.uniform(0, 0.4))
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
    assert traces(pg) == (0, 0), log.read_text()
    assert code == 0 or (code == KILLED and not log.read_text().count("worker.started")), code
    assert set(statuses(pg)) <= {"READY", "SUCCESSFUL"}
    counted = pg.execute("SELECT DISTINCT attempts, failures FROM task_runs WHERE status = 'READY'").fetchall()
    assert counted in ([], [(0, 0)])


@pytest.mark.parametrize("pause_seconds", [0.0, 0.01, 0.05])
def test_two_signals_within_a_moment_stop_an_idle_worker_in_order(
    pause_seconds: float, dsn: str, log: Path, pg: psycopg.Connection
) -> None:
    with worker(dsn, log) as process:
        wait_for("the worker", lambda: is_served(pg))
        process.send_signal(signal.SIGTERM)
        time.sleep(pause_seconds)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0, log.read_text()
    assert traces(pg) == (0, 0)


def test_two_signals_within_a_moment_give_back_what_runs(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("ignore_term", 600)
    with worker(dsn, log, *LONG_LEASE) as process:
        wait_for("the run to start", lambda: statuses(pg) == {"RUNNING": 1})
        process.send_signal(signal.SIGTERM)

        def hurried() -> bool:  # again, since two that come while it is held up are one to it
            time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            return process.poll() is not None

        wait_for("it to end", hurried, 10)
        assert process.returncode == 0
    assert traces(pg) == (0, 0)
    assert pg.execute("SELECT status, failures FROM task_runs").fetchone() == ("READY", 0)


def test_signals_while_the_last_ends_are_stored_change_nothing(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("sleep", 600)
    with worker(dsn, log, *LONG_LEASE, "--drain-timeout", "0s") as process:
        wait_for("the run to start", lambda: statuses(pg) == {"RUNNING": 1})
        with pg.transaction():
            pg.execute("SELECT FROM task_runs FOR UPDATE")  # the worker's last finalise has to wait
            for _ in range(10):
                process.send_signal(signal.SIGTERM)
                time.sleep(0.05)
            assert process.poll() is None
        assert process.wait(10) == 0, log.read_text()
    assert traces(pg) == (0, 0)
    assert statuses(pg) == {"READY": 1}
