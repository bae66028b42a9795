"""A bench that is interrupted leaves no run, no schema and no process."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from reproq.child.kernel import descendants_of
from tests.acceptance.workers import ROOT, alive, environment, wait_for
from tests.loadtest.test_bench import LEFT

MANY = ("--runs", "3000", "--executor", "fork", "--skip", "crash_safe_settings")
UNDER_WAY = "SELECT count(*) > 0 FROM task_runs WHERE finished_at IS NOT NULL"


@contextmanager
def benching(dsn: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "reproq", "bench", *arguments]
    process = subprocess.Popen(
        command, env=environment(dsn), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def is_under_way(pg: psycopg.Connection) -> bool:
    return pg.execute(UNDER_WAY).fetchone() == (True,)


def test_a_signal_in_the_middle_of_a_drain_leaves_nothing(dsn: str, pg: psycopg.Connection) -> None:
    with benching(dsn, "drain", *MANY) as process:
        wait_for("the drain", lambda: is_under_way(pg), 60)
        below = descendants_of(process.pid)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.endswith("Error: stopped by a signal: there are no figures, and nothing of the bench is left\n")
    assert len(below) >= 2  # the worker and its template
    assert not [pid for pid in below if alive(pid)]
    assert pg.execute(LEFT).fetchone() == (0, 0, 0)


def test_a_signal_while_pgbench_is_at_work_leaves_nothing(dsn: str, pg: psycopg.Connection) -> None:
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'reproq-bench-%'"
    with benching(dsn, "ceiling") as process:
        wait_for("pgbench", lambda: pg.execute(schemas).fetchone() == (1,) and descendants_of(process.pid))
        below = descendants_of(process.pid)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 1
    assert not [pid for pid in below if alive(pid)]
    assert pg.execute(LEFT).fetchone() == (0, 0, 0)


def test_a_signal_while_a_table_is_filled_leaves_nothing(dsn: str, pg: psycopg.Connection) -> None:
    with benching(dsn, "history", "--rows", "50000000") as process:
        wait_for(
            "the table to grow", lambda: pg.execute("SELECT pg_relation_size('task_runs') > 9e6").fetchone()[0], 60
        )
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopped by a signal" in errors
    assert pg.execute(LEFT).fetchone() == (0, 0, 0)


@pytest.mark.slow
def test_a_bench_that_is_killed_leaves_no_process_and_no_run_half_written(dsn: str, pg: psycopg.Connection) -> None:
    with benching(dsn, "drain", *MANY) as process:
        wait_for("the drain", lambda: is_under_way(pg), 60)
        below = descendants_of(process.pid)
        process.kill()
        process.communicate(timeout=60)
        wait_for("its processes to end", lambda: not [pid for pid in below if alive(pid)])
    assert len(below) >= 2
    assert pg.execute("SELECT count(*) FROM task_runs").fetchone() == (3000,)
