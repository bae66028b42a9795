"""Nobody but pg_cron fires, through a full minute from one tick to the next, and a real worker runs what comes."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.workers import TASKS, reproq, wait_for, worker

CALLED = "SELECT count(*) FROM cron.job_run_details WHERE end_time IS NOT NULL AND command LIKE '%reproq_fire_due%'"
DONE = "SELECT count(*) FROM task_runs WHERE status = 'SUCCESSFUL'"
FIRED = """
    SELECT name, due_at, run_id, decided_at
    FROM reproq_ticks JOIN periodic_tasks AS job ON job.id = periodic_task_id
    ORDER BY name, due_at
"""
NOTED = "SELECT status FROM cron.job_run_details WHERE command LIKE '%reproq_fire_due%' OR command LIKE '%enqueue%'"


@pytest.mark.slow
@pytest.mark.waits
def test_pg_cron_fires_each_tick_of_a_full_minute_once_and_a_worker_runs_it(
    shop: str, cron: psycopg.Connection, tmp_path: Path
) -> None:
    """`own` has a job of its own beside the shared one, `zoned` has only that: each is fired once all the same."""
    for name, zone in (("own", "UTC"), ("zoned", "Europe/Berlin")):
        reproq(shop, "schedules", "add", name, "* * * * *", f"{TASKS}.add", "--args", "[1, 2]", "--time-zone", zone)
    reproq(shop, "pgcron", "install", "--layout", "mixed")
    with worker(shop, tmp_path / "log", "--no-beat"):
        wait_for("pg_cron to have called", lambda: cron.execute(CALLED).fetchone()[0] >= 2, 150)
        wait_for("the runs", lambda: cron.execute(DONE).fetchone()[0] >= 4, 20)
        assert cron.execute("SELECT bool_or(beats) FROM reproq_workers").fetchone() == (False,)
    fired = cron.execute(FIRED).fetchall()
    first, second = fired[0][1], fired[1][1]
    assert (first.second, second - first) == (0, timedelta(minutes=1))
    assert [(name, due_at) for name, due_at, _, _ in fired] == [
        (n, d) for n in ("own", "zoned") for d in (first, second)
    ]
    assert all((decided_at - due_at).total_seconds() < 10 for _, due_at, _, decided_at in fired)
    assert {run_id for _, _, run_id, _ in fired} == {row[0] for row in cron.execute("SELECT id FROM task_runs")}
    # pg_cron notes the end of a job a little after its commit.
    wait_for("all four to be noted", lambda: cron.execute(NOTED).fetchall() == [("succeeded",)] * 4, 20)
