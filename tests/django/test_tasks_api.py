"""Priorities, queues and times of a Task: what may be asked for, and what is stored."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from django.db import connection
from django.tasks import default_task_backend, task
from django.tasks.exceptions import InvalidTask
from django.test import override_settings
from django.utils import timezone as django_timezone

from tests.django import tasks
from tests.django.conftest import OURS

HOUR = timedelta(hours=1)


@pytest.fixture
def stored(pg):
    """The columns of the one run."""
    return lambda columns: pg.execute(f"SELECT {columns} FROM task_runs").fetchone()


@pytest.mark.parametrize("priority", [-100, 0, 100, 5.0])
def test_a_priority_within_bounds_is_stored(db, stored, priority):
    result = tasks.add.using(priority=priority).enqueue(1)
    assert stored("priority") == (priority,)
    assert tasks.add.get_result(result.id) == result


@pytest.mark.parametrize("priority", [-101, 101, 3.1])
def test_a_priority_out_of_bounds_is_refused(django_project, priority):
    with pytest.raises(InvalidTask, match="whole number between -100 and 100"):
        tasks.add.using(priority=priority)


@pytest.mark.parametrize("name", ["", " mail", "a,b", "*", "q*", "x" * 201, "nul\0", "line\nbreak", 7])
def test_a_queue_that_no_worker_could_serve_is_refused(django_project, name):
    with pytest.raises(InvalidTask, match=r"Queue .* must be"):
        tasks.add.using(queue_name=name)


def test_a_due_time_ahead_is_scheduled_and_comes_back_as_stored(db, stored):
    when = datetime.now(timezone(timedelta(hours=5))) + HOUR
    result = tasks.add.using(run_after=when).enqueue(1)
    assert stored("status, run_after, due_at") == ("SCHEDULED", when, when)
    assert result.task.run_after == when
    assert tasks.add.get_result(result.id) == result


def test_a_due_time_behind_is_ready(db, stored):
    when = datetime.now(UTC) - HOUR
    assert tasks.add.using(run_after=when).enqueue(1).task.run_after == when
    assert stored("status") == ("READY",)


@pytest.mark.parametrize("delay", [HOUR, timedelta(milliseconds=1500), timedelta(0), -HOUR])
def test_a_timedelta_counts_from_the_databases_clock(db, stored, delay):
    result = tasks.add.using(run_after=delay).enqueue(1)
    assert stored("run_after - enqueued_at") == (delay,)
    assert result.task.run_after == result.enqueued_at + delay
    assert tasks.add.get_result(result.id) == result


def test_a_naive_datetime_is_refused_where_time_zones_are_used(django_project):
    with pytest.raises(InvalidTask, match="run_after must be an aware datetime"):
        tasks.add.using(run_after=datetime(2030, 1, 1))


@pytest.mark.parametrize(
    "when", [date(2030, 1, 1), 60, "tomorrow", timedelta.max, timedelta.min, datetime.max.replace(tzinfo=UTC)]
)
def test_what_is_no_storable_time_is_refused_by_name(django_project, when):
    with pytest.raises(InvalidTask, match="run_after must"):
        tasks.add.using(run_after=when)


def test_run_after_is_no_keyword_of_the_decorator(django_project):
    with pytest.raises(TypeError):
        task(run_after=HOUR)(tasks.plain_function)


@override_settings(USE_TZ=False, TIME_ZONE="Europe/Zurich")
def test_without_time_zones_naive_local_times_go_in_and_come_out(db, stored):
    when = datetime(2030, 7, 1, 12, 30)
    result = tasks.add.using(run_after=when).enqueue(1)
    assert stored("run_after") == (datetime(2030, 7, 1, 10, 30, tzinfo=UTC),)
    assert result.task.run_after == when
    assert result.enqueued_at.tzinfo is None
    assert abs(result.enqueued_at - django_timezone.now()) < HOUR
    assert tasks.add.get_result(result.id) == result


@override_settings(USE_TZ=False)
@pytest.mark.parametrize("run_after", [None, HOUR])
def test_without_time_zones_the_rest_works_as_well(db, run_after):
    result = tasks.add.using(run_after=run_after).enqueue(1)
    assert tasks.add.get_result(result.id) == result


def test_a_nested_or_builtin_function_is_no_task(django_project):
    def inner():
        return None

    for function in (inner, any):
        with pytest.raises(InvalidTask, match="defined at a module level"):
            task(function)


def test_a_task_that_takes_context_must_have_it_first(django_project):
    with pytest.raises(InvalidTask, match="first argument of 'context'"):
        task(takes_context=True)(tasks.plain_function)


def test_using_makes_a_new_equal_task(django_project):
    assert tasks.add.using() == tasks.add
    assert tasks.add.using() is not tasks.add
    chained = tasks.add.using(run_after=HOUR).using(priority=3)
    assert (chained.run_after, chained.priority, tasks.add.priority) == (HOUR, 3, 0)


def test_it_works_with_server_side_binding(db):
    connection.close()
    connection.settings_dict["OPTIONS"]["server_side_binding"] = True
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": {"BACKOFF": [1, 2], "TIMEOUT": 5}}}):
        result = tasks.add.using(run_after=HOUR).enqueue(1)
        assert default_task_backend.get_result(result.id) == result
