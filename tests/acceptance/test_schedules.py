"""Schedules with real workers and a real beat: fired on time, executed, and told when they are wrong."""

from pathlib import Path

import psycopg
import pytest

from tests.acceptance.workers import TASKS, process, reproq, wait_for, worker

EVERY_SECOND = """
    INSERT INTO periodic_tasks (name, cron_expr, task_path, args) VALUES ('often', '* * * * * *', %s, '[1, 2]')
"""
MISTIMED = "tests.acceptance.project.mistimed"


def executed(pg: psycopg.Connection) -> list[tuple[object, ...]]:
    """The ticks whose runs have succeeded: the value, and how many seconds after its tick each run ended."""
    return pg.execute(
        "SELECT run.return_value, extract(epoch FROM run.finished_at - tick.due_at)::float8"
        " FROM reproq_ticks AS tick JOIN task_runs AS run ON run.id = tick.run_id WHERE run.status = 'SUCCESSFUL'"
    ).fetchall()


def test_a_worker_fires_a_schedule_and_executes_it(dsn: str, pg: psycopg.Connection, log: Path) -> None:
    pg.execute(EVERY_SECOND, [f"{TASKS}.add"])
    with worker(dsn, log, "--concurrency", "1"):
        wait_for("two ticks to be executed", lambda: len(executed(pg)) >= 2)
    for value, after_seconds in executed(pg):
        assert value == 3
        assert 0 < after_seconds < 20
    told = log.read_text()
    assert "schedule.enqueued schedule=often due=" in told
    assert pg.execute("SELECT count(*) - count(DISTINCT run_id) FROM reproq_ticks").fetchone() == (0,)


def test_a_beat_fires_for_a_worker_that_leaves_it_to_it(
    dsn: str, pg: psycopg.Connection, log: Path, tmp_path: Path
) -> None:
    pg.execute(EVERY_SECOND, [f"{TASKS}.add"])
    beats = tmp_path / "beat.log"
    with worker(dsn, log, "--no-beat", "--concurrency", "1"), process(dsn, beats, "beat", "-v"):
        wait_for("two ticks to be executed", lambda: len(executed(pg)) >= 2)
        rows = "SELECT role, beats FROM reproq_workers ORDER BY role"
        assert pg.execute(rows).fetchall() == [("beat", True), ("worker", False)]
    assert "schedule." not in log.read_text()
    lines = beats.read_text().splitlines()
    assert "beat.started worker=beat-" in lines[0]
    assert "queues" not in lines[0]
    assert any("schedule.enqueued schedule=often due=" in line for line in lines)
    assert any("schedule.looked fired=1" in line for line in lines)
    assert "beat.stopped" in lines[-1]
    assert pg.execute("SELECT count(*) FROM reproq_workers").fetchone() == (0,)


@pytest.mark.parametrize("executor", ["fork", "pool"])
def test_a_worker_tells_at_its_start_what_is_wrong_with_a_schedule_and_runs_the_rest(
    dsn: str, pg: psycopg.Connection, executor: str
) -> None:
    pg.execute("INSERT INTO task_runs (task_path, args) VALUES (%s, '[7]')", [f"{MISTIMED}.remind"])
    told = reproq(
        dsn, "worker", "--burst", "--executor", executor, "--concurrency", "1", PROJECT_MODULES=MISTIMED
    ).stderr
    never, elsewhere, unfit, rest = [line for line in told.splitlines() if "executor.notice" in line]
    for name, line in (("never", never), ("elsewhere", elsewhere), ("unfit", unfit)):
        assert f"executor.notice text=\"The schedule '{name}' of {MISTIMED}.remind (" in line
        assert "mistimed.py:" in line
        assert "It is not stored; correct @periodic, and run: reproq schedules sync" in line
    assert "cron_expr: '0 0 30 2 *' never fires: no day 30 exists in month 2; name days that do." in never
    assert "time_zone: 'Mars' is no time zone of the IANA database; write UTC or Europe/Berlin" in elsewhere
    assert "missing a required argument: 'customer'" in unfit
    assert "2 more schedules are wrong: manage.py check names them" in rest
    assert pg.execute("SELECT status, return_value FROM task_runs").fetchall() == [
        ("SUCCESSFUL", "customer 7 is reminded")
    ]
