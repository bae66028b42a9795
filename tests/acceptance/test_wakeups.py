"""A real worker that looks only every ten minutes: what starts sooner was woken."""

from pathlib import Path

import psycopg
import pytest

from tests.acceptance.workers import statuses, wait_for, worker

pytestmark = pytest.mark.direct
SELDOM = ("--poll-interval", "10m")


def waits(pg: psycopg.Connection, queues: str = "{default}") -> bool:
    query = "SELECT EXISTS (SELECT FROM reproq_workers WHERE idle_queues = %s::text[])"
    return bool(pg.execute(query, [queues]).fetchone()[0])


def test_an_idle_worker_starts_what_is_enqueued(enqueue, dsn, pg, log: Path):
    with worker(dsn, log, *SELDOM, "--executor", "mock", "--exec-sleep", "0s"):
        for number in range(1, 4):
            wait_for("the worker to wait", lambda: waits(pg))
            enqueue("add", number, 1)
            wait_for("the run", lambda number=number: statuses(pg) == {"SUCCESSFUL": number})


def test_a_run_that_falls_due_before_the_next_look_starts_at_its_time(enqueue, dsn, pg, log: Path):
    from datetime import timedelta

    with worker(dsn, log, *SELDOM, "--executor", "mock", "--exec-sleep", "0s"):
        wait_for("the worker to wait", lambda: waits(pg))
        enqueue("add", 1, 1, run_after=timedelta(seconds=1))
        wait_for("the run", lambda: statuses(pg) == {"SUCCESSFUL": 1})
    (late,) = pg.execute("SELECT extract(epoch FROM started_at - due_at)::float8 FROM task_runs").fetchone()
    assert 0 <= late < 10


def test_a_worker_of_all_queues_is_woken_for_one_that_it_has_never_seen(enqueue, dsn, pg, log: Path):
    with worker(dsn, log, *SELDOM, "--queues", "*", "--executor", "mock", "--exec-sleep", "0s"):
        wait_for("the worker to wait", lambda: waits(pg, "{*}"))
        enqueue("add", 1, 1, queue_name="brand-new")
        wait_for("the run", lambda: statuses(pg) == {"SUCCESSFUL": 1})


def test_a_worker_that_is_told_not_to_listen_waits_for_nobody(enqueue, dsn, pg, log: Path):
    with worker(dsn, log, "--listen", "off", "--executor", "mock", "--exec-sleep", "0s"):
        enqueue("add", 1, 1)
        wait_for("the run", lambda: statuses(pg) == {"SUCCESSFUL": 1})
        assert not waits(pg)
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        assert pg.execute(sessions).fetchone() == (0,)
