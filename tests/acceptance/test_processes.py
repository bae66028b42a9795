"""Which processes a worker starts, with what, and what they share."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from tests.acceptance.workers import command_lines, reproq, statuses, wait_for, worker


@pytest.mark.lesson("worker-started-with-the-wrong-interpreter")
def test_runs_use_the_interpreter_that_started_the_worker(
    dsn: str, tmp_path: Path, enqueue: Callable[..., Any]
) -> None:
    """A `python3` that comes first on PATH, and fails, is not taken."""
    impostor = tmp_path / "python3"
    impostor.write_text("#!/bin/sh\nexit 127\n")
    impostor.chmod(0o755)
    shutil.copy(impostor, tmp_path / "python")
    result = enqueue("interpreter")
    reproq(dsn, "worker", "--burst", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    result.refresh()
    assert result.return_value == [sys.executable, "0"]


@pytest.mark.lesson("password-in-ps")
def test_no_process_shows_the_database_password_in_its_arguments(
    dsn: str, log: Path, tmp_path: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    secret = "p@ss:w%rd"
    enqueue("sleep", 600.0)
    with_password = conninfo.make_conninfo(dsn, password=secret)
    with worker(with_password, log, "--drain-timeout", "0s", DATABASE_URL=with_password) as process:
        wait_for("the run to start", lambda: statuses(pg) == {"RUNNING": 1})
        shown = command_lines(process.pid)
        assert any(b"reproq.child" in line for line in shown)
        assert not any(b"ss:w" in line for line in shown)
    assert secret not in log.read_text()


@pytest.mark.direct
@pytest.mark.lesson("libpq-connections-inherited-across-fork")
def test_a_connection_that_the_projects_import_opened_is_closed_before_the_first_fork(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    results = [enqueue("backend_pid") for _ in range(5)]
    with worker(dsn, log, "--concurrency", "2", PROJECT_FLAW="connection"):
        wait_for("all runs to end", lambda: statuses(pg) == {"SUCCESSFUL": 5})
        names = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"

        def left() -> list[str]:
            return [name for (name,) in pg.execute(names, [pg.info.backend_pid]) if not name.startswith("worker-")]

        wait_for("nobody but the test's own Django to be connected", lambda: left() in ([], [""]))
    for result in results:
        result.refresh()
    assert len({result.return_value for result in results}) == 5, "every run had a connection of its own"


def test_a_thread_that_the_projects_import_started_is_named_in_a_warning(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("add", 1, 2)
    with worker(dsn, log, PROJECT_FLAW="thread"):
        wait_for("the run to end", lambda: statuses(pg) == {"SUCCESSFUL": 1})
    assert "metrics-flusher" in log.read_text()


def test_a_project_that_cannot_be_imported_stops_the_worker_with_the_reason(dsn: str) -> None:
    result = reproq(dsn, "worker", "--burst", check=False, PROJECT_FLAW="error")
    assert result.returncode == 2
    assert "this project cannot be imported" in result.stderr
