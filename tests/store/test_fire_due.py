"""`reproq_fire_due`, which pg_cron calls: all that is due is fired, once, whatever one of the rows is like."""

from datetime import timedelta

import psycopg
import pytest

from reproq.store import periodic
from tests.store.periodic_rows import MINUTE, NOW, add, at, column, ticks


def fire_due(cursor, now=NOW):
    return cursor.execute("SELECT reproq_fire_due(%s)", [now]).fetchone()[0]


def test_each_that_is_due_is_fired_once_and_no_other(cursor):
    for name, expression in (("a", "* * * * *"), ("b", "*/2 * * * *"), ("c", "@daily")):
        add(cursor, name, now=NOW - MINUTE, cron_expr=expression)
    add(cursor, "paused", now=NOW - MINUTE, enabled=False)
    assert fire_due(cursor) == 2
    assert fire_due(cursor) == 0
    assert [due_at for due_at, _ in ticks(cursor)] == [at(0), at(0)]
    assert cursor.execute("SELECT count(*) FROM task_runs WHERE status = 'READY'").fetchone() == (2,)


def test_every_tick_of_a_few_seconds_is_fired_in_one_call(cursor):
    add(cursor, now=at(0, 40), cron_expr="* * * * * *")
    assert fire_due(cursor, at(0, 45)) == 5
    assert [due_at for due_at, _ in ticks(cursor)] == [at(0, second) for second in range(41, 46)]


def test_a_queued_tick_is_fired_when_the_run_before_it_has_ended(cursor):
    add(cursor, now=NOW - 2 * MINUTE, overlap="queue_one")
    fire_due(cursor, NOW - MINUTE)
    assert fire_due(cursor) == 1
    assert column(cursor, "queued_due_at") == at(0)
    assert fire_due(cursor) == 0
    cursor.execute("UPDATE task_runs SET status = 'FAILED', finished_at = now()")
    assert fire_due(cursor) == 1
    assert column(cursor, "last_run_at") == at(0)


def test_one_bad_row_says_so_and_stops_no_other(cursor):
    for name in ("a", "bad", "z"):
        add(cursor, name, now=NOW - MINUTE)
    cursor.execute("UPDATE periodic_tasks SET max_attempts = 2147483647, backend = '' WHERE name = 'bad'")
    cursor.execute("ALTER TABLE task_runs ADD CONSTRAINT named CHECK (backend <> '')")
    assert fire_due(cursor) == 2
    (fault, again) = cursor.execute("SELECT fault, wake_at FROM periodic_tasks WHERE name = 'bad'").fetchone()
    assert fault.startswith("it cannot be fired: new row for relation")
    assert again == NOW + MINUTE
    assert fire_due(cursor) == 0
    cursor.execute("ALTER TABLE task_runs DROP CONSTRAINT named")
    assert fire_due(cursor, NOW + MINUTE) == 3, "where pg_cron is alone, nobody else takes the fault away"
    assert cursor.execute("SELECT count(*) FROM periodic_tasks WHERE fault <> ''").fetchone() == (0,)


def test_what_nobody_refills_is_fired_to_the_end_of_its_list(cursor):
    add(cursor, now=NOW)
    fired = sum(fire_due(cursor, at(minute)) for minute in range(1, 60))
    assert fired == 50
    assert column(cursor, "upcoming") == []


def test_what_another_transaction_holds_is_left_to_it(dsn):
    with psycopg.connect(dsn) as one, psycopg.connect(dsn) as other:
        add(one.cursor(), "held", now=NOW - MINUTE)
        add(one.cursor(), "free", now=NOW - MINUTE)
        one.commit()
        one.execute("SELECT FROM periodic_tasks WHERE name = 'held' FOR UPDATE")
        assert fire_due(other.cursor()) == 1
        other.commit()
        one.rollback()
        assert fire_due(other.cursor()) == 1


def test_the_shared_job_a_job_of_its_own_and_a_beat_fire_a_tick_once(dsn):
    with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        add(cursor, now=NOW - MINUTE)
        assert fire_due(cursor) == 1
        assert cursor.execute("SELECT (reproq_enqueue_periodic_task('job', NULL, %s)).id", [NOW]).fetchone() == (None,)
        assert periodic.fire_due(cursor, NOW) == []
        assert len(ticks(cursor)) == 1


@pytest.mark.parametrize("late", [timedelta(seconds=9), timedelta(minutes=3)])
def test_a_late_call_follows_the_policy(cursor, late):
    add(cursor, now=NOW - MINUTE, catch_up="all")
    assert fire_due(cursor, at(0) + late) == 1 + late // MINUTE
