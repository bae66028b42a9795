"""`reproq beat --once`, as a timer calls it."""

import psycopg

from tests.acceptance.workers import reproq


def test_a_beat_that_fires_once_says_what_it_fired_or_that_nothing_was_due(dsn: str, pg: psycopg.Connection) -> None:
    pg.execute("INSERT INTO periodic_tasks (name, cron_expr, task_path) VALUES ('job', '@yearly', 'x.y')")
    assert reproq(dsn, "beat", "--once").stdout == "nothing was due\n"
    pg.execute("UPDATE periodic_tasks SET upcoming = now() || upcoming")
    told = reproq(dsn, "beat", "--once")
    assert " job, due at " in told.stdout
    assert told.stdout.endswith(", run 1\n")
    assert "schedule=job" in told.stderr
