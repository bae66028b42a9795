"""The SQL function that fires ticks, and the statements around it: policies, idempotence, lists, faults."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import errors

from reproq.schedule.upcoming import AHEAD, ON_TIME, refill
from reproq.scheduler.beat import fire_once
from reproq.spec import make_spec
from reproq.store import periodic
from reproq.store.db import Database
from reproq.store.periodic import FirePeriodicTasks, RefillLists
from reproq.telemetry.events import Telemetry
from tests.store.periodic_rows import MINUTE, NOW, add, at, column, fire_all, ticks
from tests.store.rows import read

HOUR, DAY = 60 * MINUTE, timedelta(days=1)


def finish(cursor, run_id):
    cursor.execute("UPDATE task_runs SET status = 'FAILED', finished_at = now() WHERE id = %s", [run_id])


def refilled(cursor, now):
    cursor.execute("UPDATE periodic_tasks SET refill_at = 'epoch'")
    assert periodic.refill_due(cursor, now=now) == {}


# -- one tick ---------------------------------------------------------------------------------------------------------


@pytest.mark.lesson("a-function-that-no-test-ever-called")
def test_a_tick_enqueues_the_run_that_an_enqueue_would(cursor):
    columns = {"queue_name": "mail", "priority": 7, "max_attempts": 5, "timeout_seconds": 30.0, "backend": "other"}
    columns |= {"backoff_seconds": [1.0, 2.0], "expires_in_seconds": 60.0, "on_lost_contact": "stop"}
    add(cursor, args="[1, 1e16]", kwargs='{"b": 1, "a": "é"}', **columns)
    (fired,) = periodic.fire(cursor, "job", now=at(1, 0.2))
    assert (fired.name, fired.queue_name, fired.due_at, fired.outcome) == ("job", "mail", at(1), "enqueued")
    assert fired.lag_seconds == pytest.approx(0.2)
    run = read(cursor, fired.run_id)
    assert {name: getattr(run, name) for name in columns if name != "expires_in_seconds"} | {
        "expires_in_seconds": 60.0
    } == columns
    assert run.spec_hash == make_spec("app.tasks.add", [1, 1e16], {"b": 1, "a": "é"}).spec_hash
    assert (run.status, run.enqueued_at, run.due_at) == ("READY", at(1, 0.2), at(1, 0.2))
    assert run.expires_at == at(2, 0.2)
    assert cursor.execute("SELECT args::text FROM task_runs").fetchone() == ("[1, 1e16]",)
    assert (column(cursor, "last_run_id"), column(cursor, "last_run_at")) == (fired.run_id, at(1))
    assert column(cursor, "next_run_at") == at(2)


def test_nothing_fires_before_its_time(cursor):
    add(cursor)
    assert periodic.fire(cursor, "job", now=at(1, -0.001)) == []
    assert ticks(cursor) == []


def test_any_clock_leads_to_the_listed_moment_and_never_to_a_rounded_one(cursor):
    add(cursor, cron_expr="17 30 * * * *")
    assert fire_all(cursor, now=at(40))[0].due_at == at(30, 17)
    assert ticks(cursor) == [(at(30, 17), "caught_up")]


@pytest.mark.lesson("two-schedulers-double-every-tick")
def test_calls_after_the_first_find_nothing(cursor):
    add(cursor)
    assert len(periodic.fire(cursor, "job", now=at(1))) == 1
    assert periodic.fire(cursor, "job", now=at(1)) == []
    assert periodic.fire(cursor, "job", now=at(1, 30)) == []


def test_without_a_clock_the_databases_counts(cursor):
    add(cursor, now=None)
    assert periodic.fire(cursor, "job") == []
    cursor.execute("UPDATE periodic_tasks SET upcoming = ARRAY[now() - interval '1 s']")
    assert [fired.outcome for fired in periodic.fire(cursor, "job")] == ["enqueued"]


def test_plain_sql_answers_the_tick_or_a_row_of_nulls(cursor):
    add(cursor)
    query = "SELECT outcome, run_id IS NOT NULL FROM reproq_enqueue_periodic_task('job', now => %s)"
    assert cursor.execute(query, [at(1)]).fetchall() == [("enqueued", True)]
    assert cursor.execute(query, [at(1)]).fetchall() == [(None, False)]


def test_an_unknown_name_is_refused(cursor):
    with pytest.raises(errors.NoDataFound, match="there is no periodic task 'nothing'"):
        periodic.fire(cursor, "nothing")


def test_the_function_finds_its_tables_from_any_search_path(cursor):
    add(cursor)
    schema = cursor.execute("SELECT current_schema()").fetchone()[0]
    cursor.execute("SET LOCAL search_path = pg_catalog")
    query = f"SELECT outcome FROM {schema}.reproq_enqueue_periodic_task('job', now => %s)"
    assert cursor.execute(query, [at(1)]).fetchone() == ("enqueued",)
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_a_paused_task_does_not_fire_and_misses_nothing(cursor):
    add(cursor)
    cursor.execute("UPDATE periodic_tasks SET enabled = false")
    assert fire_all(cursor, now=at(5)) == []
    assert column(cursor, "paused_at") is not None
    cursor.execute("UPDATE periodic_tasks SET enabled = true")
    periodic.refill_due(cursor, now=at(5, 10))
    assert len(fire_all(cursor, now=at(6))) == 1
    assert ticks(cursor) == [(at(6), "enqueued")]
    assert column(cursor, "paused_at") is None


# -- a tick by its name -----------------------------------------------------------------------------------------------


def test_a_named_tick_fires_once_and_answers_the_same_again(cursor):
    add(cursor)
    (first,) = periodic.fire(cursor, "job", at(1), now=at(0, 50))
    (again,) = periodic.fire(cursor, "job", at(1), now=at(9))
    assert first == again
    assert fire_all(cursor, now=at(1, 5)) == []


def test_a_named_tick_fires_also_while_paused_and_beside_the_list(cursor):
    add(cursor, enabled=False)
    (fired,) = periodic.fire(cursor, "job", NOW, now=NOW)
    assert (fired.due_at, fired.outcome) == (NOW, "enqueued")


def test_a_tick_so_old_that_it_may_be_forgotten_is_refused(cursor):
    add(cursor)
    with pytest.raises(errors.InvalidParameterValue, match="more than 30 days ago"):
        periodic.fire(cursor, "job", NOW - 31 * DAY, now=NOW)


def test_a_tick_that_was_fired_ahead_of_its_time_is_not_listed_again(cursor):
    add(cursor)
    periodic.fire(cursor, "job", at(1), now=NOW)
    refilled(cursor, NOW)
    assert column(cursor, "upcoming")[0] == at(2)
    assert [fired.due_at for fired in fire_all(cursor, now=at(2))] == [at(2)]


def test_a_tick_that_is_listed_though_it_was_fired_does_not_fire_again(cursor):
    add(cursor)
    periodic.fire(cursor, "job", at(1), now=NOW)
    cursor.execute("UPDATE periodic_tasks SET upcoming = %s::timestamptz || upcoming", [at(1)])
    assert [fired.due_at for fired in fire_all(cursor, now=at(2))] == [at(2)]


def test_a_tick_that_was_skipped_months_ahead_stays_skipped(cursor):
    add(cursor, cron_expr="@yearly")
    new_year = periodic.skip(cursor, "job", now=NOW)
    refilled(cursor, NOW + DAY)
    periodic.prune(cursor, now=NOW + 60 * DAY)
    refilled(cursor, NOW + 60 * DAY)
    assert column(cursor, "next_run_at") > new_year
    assert periodic.skip(cursor, "job", now=NOW) > new_year
    assert fire_all(cursor, now=new_year) == []


# -- overlap ----------------------------------------------------------------------------------------------------------


def test_overlap_allow_enqueues_beside_the_run_before(cursor):
    add(cursor)
    assert [len(fire_all(cursor, now=at(minute))) for minute in (1, 2)] == [1, 1]


def test_overlap_skip_leaves_a_tick_out_for_good(cursor):
    add(cursor, overlap="skip")
    (first,) = fire_all(cursor, now=at(1))
    assert [fired.outcome for fired in fire_all(cursor, now=at(2))] == ["skipped"]
    finish(cursor, first.run_id)
    assert fire_all(cursor, now=at(2, 30)) == []
    assert fire_all(cursor, now=at(3))[0].outcome == "enqueued"
    assert [outcome for _, outcome in ticks(cursor)] == ["enqueued", "skipped", "enqueued"]


def test_overlap_queue_one_keeps_one_tick_until_the_run_before_has_ended(cursor):
    add(cursor, overlap="queue_one")
    (first,) = fire_all(cursor, now=at(1))
    assert [fired.outcome for fired in fire_all(cursor, now=at(2))] == ["queued"]
    assert [fired.outcome for fired in fire_all(cursor, now=at(3))] == ["skipped"]
    finish(cursor, first.run_id)
    (second,) = periodic.fire_due(cursor, now=at(3, 20))
    assert (second.due_at, second.outcome) == (at(2), "enqueued")
    assert cursor.execute("SELECT count(*) FROM task_runs").fetchone() == (2,)
    assert column(cursor, "queued_due_at") is None
    assert [fired.outcome for fired in fire_all(cursor, now=at(4))] == ["queued"]


def test_a_run_that_was_deleted_is_over(cursor):
    add(cursor, overlap="skip")
    fire_all(cursor, now=at(1))
    cursor.execute("DELETE FROM task_runs")
    assert fire_all(cursor, now=at(2))[0].outcome == "enqueued"


# -- catching up ------------------------------------------------------------------------------------------------------


@pytest.mark.lesson("missed-ticks-without-a-policy")
@pytest.mark.parametrize(("policy", "runs"), [("none", 0), ("latest", 1), ("all", 100)])
def test_after_six_hours_a_minutely_task_fires_as_its_policy_says(cursor, policy, runs):
    add(cursor, catch_up=policy, now=NOW - 6 * HOUR)
    assert periodic.refill_due(cursor, now=NOW) == {}
    fired = []
    while found := periodic.fire_due(cursor, now=NOW):
        fired += found
    assert len(fired) == runs
    assert [one.due_at for one in fired] == [at(minute) for minute in range(1 - runs, 1)]
    assert {one.outcome for one in fired} <= {"caught_up"}


@pytest.mark.parametrize(("policy", "due"), [("none", []), ("latest", [3]), ("all", [1, 2, 3])])
def test_a_late_caller_without_anybody_to_refill_follows_the_policy_too(cursor, policy, due):
    add(cursor, catch_up=policy)
    assert [one.due_at for one in fire_all(cursor, now=at(3, 20))] == [at(minute) for minute in due]


@pytest.mark.parametrize("policy", ["none", "latest"])
def test_a_tick_on_time_takes_the_place_of_those_missed_before_it(cursor, policy):
    add(cursor, catch_up=policy)
    assert [(one.due_at, one.outcome) for one in fire_all(cursor, now=at(3, 5))] == [(at(3), "enqueued")]


def test_all_makes_up_for_no_more_than_its_bound(cursor):
    add(cursor, catch_up="all", catch_up_bound=2)
    assert [one.due_at for one in fire_all(cursor, now=at(7, 30))] == [at(6), at(7)]


def test_ten_seconds_late_is_on_time_whatever_the_policy(cursor):
    add(cursor, cron_expr="* * * * * *", catch_up="none", now=at(0))
    assert [one.due_at for one in fire_all(cursor, now=at(0, 5))] == [at(0, second) for second in range(1, 6)]
    assert timedelta(seconds=10) == ON_TIME
    edge = fire_all(cursor, now=at(0, 16.5))
    assert [one.due_at for one in edge] == [at(0, second) for second in range(7, 17)]


# -- lists ------------------------------------------------------------------------------------------------------------


def test_a_row_of_plain_sql_is_filled_by_the_next_look(dsn, pg):
    pg.execute("INSERT INTO periodic_tasks (name, cron_expr, task_path) VALUES ('job', '@hourly', 'app.tasks.add')")
    database = Database(dsn, "beat")
    answer = FirePeriodicTasks().run(database, NOW)
    database.close()
    assert (answer.fired, answer.faults, answer.trouble) == ([], {}, "")
    assert answer.next_seconds == (at(60) - NOW).total_seconds()
    assert pg.execute("SELECT cardinality(upcoming), next_run_at = wake_at FROM periodic_tasks").fetchone() == (
        AHEAD,
        True,
    )


@pytest.mark.parametrize(
    "change",
    [
        "cron_expr = '*/5 * * * *'",
        "time_zone = 'Asia/Tokyo'",
        "jitter_seconds = 3",
        "start_at = now()",
        "name = 'other'",
    ],
)
def test_a_changed_timing_voids_the_list(cursor, change):
    add(cursor)
    cursor.execute(f"UPDATE periodic_tasks SET {change}")
    row = cursor.execute("SELECT upcoming, computed_until, next_run_at, wake_at FROM periodic_tasks").fetchone()
    assert row == ([], None, None, datetime(1970, 1, 1, tzinfo=UTC))


def test_any_other_change_keeps_the_list(cursor):
    add(cursor)
    cursor.execute("UPDATE periodic_tasks SET priority = 5, overlap = 'skip', description = 'x'")
    assert column(cursor, "next_run_at") == at(1)


def test_a_changed_call_changes_the_hash(cursor):
    add(cursor)
    cursor.execute("UPDATE periodic_tasks SET args = '[2]'")
    assert column(cursor, "spec_hash") == make_spec("app.tasks.add", [2], {}).spec_hash


def test_a_list_that_ran_out_is_not_fired_from_before_it_is_whole(cursor):
    add(cursor, now=NOW - 6 * HOUR)
    assert periodic.fire_due(cursor, now=NOW) == []
    assert column(cursor, "next_run_at") < NOW - 5 * HOUR


def test_a_refill_keeps_what_waits_to_be_fired(cursor):
    add(cursor, catch_up="all")
    refilled(cursor, at(3, 30))
    assert column(cursor, "upcoming")[:4] == [at(minute) for minute in (1, 2, 3, 4)]


def test_a_task_that_has_ended_asks_for_nothing_more(cursor):
    add(cursor, end_at=at(1))
    assert periodic.next_tick(cursor, now=NOW) == (15.0, False)
    assert len(fire_all(cursor, now=at(1))) == 1
    cursor.execute("UPDATE periodic_tasks SET refill_at = 'epoch'")
    periodic.refill_due(cursor, now=at(2))
    assert periodic.next_tick(cursor, now=at(2)) == (None, False)


def test_a_task_that_was_changed_since_the_lists_were_filled_is_due_and_not_overdue_for_decades(cursor):
    add(cursor)
    cursor.execute("UPDATE periodic_tasks SET cron_expr = '@daily'")
    assert periodic.next_tick(cursor, now=NOW) == (0.0, False)


def test_the_next_tick_is_that_of_enabled_tasks(cursor):
    assert periodic.next_tick(cursor, now=NOW) == (None, False)
    add(cursor)
    add(cursor, "off", cron_expr="* * * * * *", enabled=False)
    assert periodic.next_tick(cursor, now=NOW) == (15.0, False)


# -- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.lesson("an-invalid-expression-that-fails-for-ever")
def test_a_row_that_cannot_be_computed_says_why_once_and_stops_no_other(cursor):
    add(cursor)
    insert = "INSERT INTO periodic_tasks (name, cron_expr, time_zone, task_path) VALUES (%s, %s, %s, 'x.y')"
    cursor.execute(insert, ["bad", "0 0 30 2 *", "UTC"])
    cursor.execute(insert, ["lost", "* * * * *", "Mars"])
    faults = periodic.refill_due(cursor, now=at(1))
    assert faults.keys() == {"bad", "lost"}
    assert "cron_expr: '0 0 30 2 *' never fires" in faults["bad"]
    assert "time_zone: 'Mars' is no time zone" in faults["lost"]
    assert [fired.name for fired in periodic.fire_due(cursor, now=at(1))] == ["job"]
    assert periodic.refill_due(cursor, now=at(1, 30)) == {}
    assert periodic.next_tick(cursor, now=at(1, 30)) == (30.0, False)
    assert periodic.refill_due(cursor, now=at(3)) == {}, "it is the same fault"
    cursor.execute("UPDATE periodic_tasks SET cron_expr = '@daily' WHERE name = 'bad'")
    assert cursor.execute("SELECT fault FROM periodic_tasks WHERE name = 'bad'").fetchone() == ("",)


@pytest.mark.parametrize("moment", ["-infinity", "infinity", "0001-01-01 00:00+00"])
@pytest.mark.parametrize("column", ["start_at", "end_at"])
def test_a_bound_that_python_cannot_count_with_is_refused_by_the_table(cursor, column, moment):
    insert = f"INSERT INTO periodic_tasks (name, cron_expr, task_path, {column}) VALUES ('bad', '@daily', 'x.y', %s)"
    with pytest.raises(errors.CheckViolation, match="periodic_tasks_times_readable"):
        cursor.execute(insert, [moment])


def test_a_row_on_which_the_computation_breaks_says_so_and_stops_no_other(cursor, monkeypatch):
    def broken(timing, *rest):
        if timing.expression.text == "@daily":
            raise OverflowError("date value out of range")
        return refill(timing, *rest)

    cursor.execute("INSERT INTO periodic_tasks (name, cron_expr, task_path) VALUES ('bad', '@daily', 'x.y')")
    cursor.execute("INSERT INTO periodic_tasks (name, cron_expr, task_path) VALUES ('good', '@hourly', 'x.y')")
    monkeypatch.setattr(periodic, "refill", broken)
    told = {"bad": "it cannot be computed: OverflowError: date value out of range"}
    assert periodic.refill_due(cursor, now=NOW) == told
    assert cursor.execute("SELECT name FROM periodic_tasks WHERE upcoming <> '{}'").fetchall() == [("good",)]


def test_a_row_that_cannot_be_fired_says_why_and_stops_no_other(dsn, pg):
    with pg.cursor() as cursor:
        for name in ("a", "bad", "c"):
            add(cursor, name)
        cursor.execute("UPDATE periodic_tasks SET timeout_seconds = -1 WHERE name = 'bad'")
    database = Database(dsn, "beat")
    answer = FirePeriodicTasks().run(database, at(1))
    assert [fired.name for fired in answer.fired] == ["a", "c"]
    assert list(answer.faults) == ["bad"]
    assert "it cannot be fired: " in answer.faults["bad"]
    assert "task_runs_timeout_bounded" in answer.faults["bad"]
    pg.execute("UPDATE periodic_tasks SET timeout_seconds = NULL")
    assert FirePeriodicTasks().run(database, at(1, 30)).fired == []
    assert [fired.due_at for fired in FirePeriodicTasks().run(database, at(2, 1)).fired] == [at(2)] * 3
    database.close()


def test_a_role_that_may_not_fire_is_told_and_its_worker_goes_on(dsn, pg):
    name = f"reader_of_{pg.info.dbname}"
    pg.execute(f"CREATE ROLE {name} LOGIN")
    try:
        pg.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
        database = Database(psycopg.conninfo.make_conninfo(dsn, user=name), "beat")
        answer = FirePeriodicTasks().run(database, NOW)
        database.close()
    finally:
        pg.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    assert "permission denied for table periodic_tasks" in answer.trouble


# -- ticks are forgotten ----------------------------------------------------------------------------------------------


def test_ticks_are_forgotten_after_thirty_days(cursor):
    add(cursor)
    fire_all(cursor, now=at(1))
    fire_all(cursor, now=at(2))
    assert periodic.prune(cursor, now=at(1) + 30 * DAY + timedelta(seconds=1)) == 1
    assert ticks(cursor) == [(at(2), "enqueued")]


def test_a_tick_that_waits_for_a_run_is_not_forgotten_however_long_that_takes(cursor):
    add(cursor, overlap="queue_one")
    (first,) = fire_all(cursor, now=at(1))
    fire_all(cursor, now=at(2))
    later = NOW + 40 * DAY
    assert periodic.prune(cursor, now=later) == 1
    finish(cursor, first.run_id)
    (fired,) = periodic.fire_due(cursor, now=later)
    assert (fired.due_at, fired.outcome) == (at(2), "enqueued")


# -- how schedules stand ----------------------------------------------------------------------------------------------


def test_health_tells_what_is_overdue_how_late_ticks_are_and_when_a_scheduler_was_last_seen(cursor):
    nothing = periodic.health(cursor, now=NOW)
    assert (nothing.enabled, nothing.overdue, nothing.lag_p50_seconds, nothing.last_beat_seconds) == (0, {}, None, None)
    add(cursor)
    for minute, lag in ((1, 0.1), (2, 0.3), (3, 4.0)):
        fire_all(cursor, now=at(minute, lag))
    cursor.execute("INSERT INTO reproq_workers (worker_id, beats, last_seen_at) VALUES ('w', true, %s)", [at(3)])
    found = periodic.health(cursor, now=at(4, 20))
    assert found.overdue == {"job": pytest.approx(20.0)}
    assert (found.lag_p50_seconds, found.lag_max_seconds) == (pytest.approx(0.3), pytest.approx(4.0))
    assert found.last_beat_seconds == pytest.approx(80.0)
    assert periodic.health(cursor, now=at(4, 20), has_beat=False).overdue == {}


def test_a_changed_schedule_that_nobody_has_looked_at_is_overdue_since_nobody_knows_when(cursor):
    add(cursor)
    cursor.execute("UPDATE periodic_tasks SET cron_expr = '@hourly'")
    assert periodic.health(cursor, now=NOW).overdue == {"job": None}


# -- many lists -------------------------------------------------------------------------------------------------------


@pytest.fixture
def unfilled(pg):
    """More periodic tasks than one look fills, of which none has a list, and none is due at a midnight of ours."""
    count = periodic.REFILL_LIMIT + 1
    pg.execute(
        "INSERT INTO periodic_tasks (name, cron_expr, task_path, start_at)"
        " SELECT n, '@daily', 'x.y', '2100-01-01' FROM generate_series(1, %s) AS n",
        [count],
    )
    return count


@pytest.mark.parametrize("look", [FirePeriodicTasks, RefillLists])
def test_a_look_says_that_more_lists_are_to_be_filled(dsn, unfilled, look):
    database = Database(dsn, "beat")
    answers = [look().run(database, NOW) for _ in range(2)]
    database.close()
    assert [answer.filled for answer in answers] == [periodic.REFILL_LIMIT, 1]
    assert [answer.is_partial for answer in answers] == [True, False]


def test_a_beat_that_fires_once_fills_every_list(dsn, pg, unfilled):
    database = Database(dsn, "beat")
    assert fire_once(database, Telemetry()) == ([], "")
    database.close()
    assert pg.execute("SELECT count(*) FROM periodic_tasks WHERE upcoming = '{}'").fetchone() == (0,)


def test_a_prune_that_the_server_cancels_ends_no_worker(dsn, pg, monkeypatch):
    def cancelled(cursor, now=None):
        raise errors.QueryCanceled("canceling statement due to statement timeout")

    monkeypatch.setattr(periodic, "prune", cancelled)
    database = Database(dsn, "beat")
    assert periodic.PruneTicks().run(database, NOW) == 0
    database.close()
