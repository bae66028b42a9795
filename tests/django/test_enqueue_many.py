"""`enqueue_many`: many runs by few statements, all of them or none, each as `enqueue` would have made it."""

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, OperationalError, connection, transaction
from django.tasks import task_backends
from django.tasks.exceptions import InvalidTask
from django.tasks.signals import task_enqueued
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from reproq.errors import InvalidArguments, NotMigrated
from reproq.store.runs import answers_to_many
from reproq_django import backend as backend_module
from reproq_django import bulk as bulk_module
from reproq_django.backend import ReproqBackend
from tests.django import tasks
from tests.django.conftest import captured

pytestmark = pytest.mark.usefixtures("db")


def runs(pg):
    return pg.execute("SELECT args::text, kwargs::text FROM task_runs ORDER BY id").fetchall()


def test_the_results_are_in_the_order_of_the_items_and_equal_what_is_stored(pg, monkeypatch):
    monkeypatch.setattr(backend_module, "BATCH", 3)
    results = tasks.add.enqueue_many((number, number / 2) for number in range(10))
    assert [result.args for result in results] == [[number, number / 2] for number in range(10)]
    assert [tasks.add.get_result(result.id) for result in results] == results
    assert runs(pg) == [(f"[{number},{number / 2}]", "{}") for number in range(10)]


def test_an_item_may_hold_keyword_arguments():
    first, second = tasks.add.enqueue_many([{"left": 1, "right": 2}, [3]])
    assert (first.args, first.kwargs) == ([], {"left": 1, "right": 2})
    assert (second.args, second.kwargs) == ([3], {})


def test_an_item_that_looks_like_a_pair_of_both_kinds_is_two_positional_arguments():
    (result,) = tasks.add.enqueue_many([((1, 2), {})])
    assert (result.args, result.kwargs) == ([[1, 2], {}], {})
    (result,) = tasks.add.get_backend().enqueue_many([(tasks.add, (1,), {"right": 2})])
    assert (result.args, result.kwargs) == ([1], {"right": 2})


@pytest.mark.parametrize("given", [{"right": 2, "left": "é"}, {"right": [1, {"b": 2.5}], "left": None}])
def test_a_result_shows_a_copy_of_what_was_given_in_its_order(given, pg):
    (result,) = tasks.add.enqueue_many([given])
    assert result.kwargs == given
    assert result.kwargs is not given
    assert list(result.kwargs) == list(tasks.add.get_result(result.id).kwargs) == ["right", "left"]
    assert pg.execute("SELECT spec_hash = reproq_spec_hash(task_path, args, kwargs) FROM task_runs").fetchone() == (
        True,
    )


def test_one_call_may_enqueue_runs_of_several_tasks_and_times():
    later = tasks.echo.using(run_after=timedelta(hours=1), priority=7, expires_in="5m", max_attempts=9)
    calls = [(tasks.add, (1,), {"right": 2}), (later, ("x",), {}), (tasks.add, (3,), {})]
    results = task_backends["default"].enqueue_many(calls)
    assert [(result.args, result.kwargs) for result in results] == [([1], {"right": 2}), (["x"], {}), ([3], {})]
    assert results[1].task.run_after == results[1].enqueued_at + timedelta(hours=1)
    assert (results[1].task.priority, results[1].task.max_attempts, results[1].task.expires_in) == (7, 9, 300.0)
    assert [task_backends["default"].get_result(result.id) for result in results] == results


def test_each_result_is_signalled_in_order():
    with captured(task_enqueued) as received:
        results = tasks.add.enqueue_many([(1,), (2,)])
    assert received == [(ReproqBackend, result) for result in results]


def test_each_is_logged_as_django_logs_it(caplog):
    caplog.set_level("DEBUG", logger="django.tasks")
    results = tasks.add.enqueue_many([(1,), (2,)])
    lines = [record.getMessage() for record in caplog.records if record.name == "django.tasks"]
    assert [line.split()[1] for line in lines] == [f"id={result.id}" for result in results]


def test_it_takes_one_insert_for_hundreds_of_runs(count_runs):
    with CaptureQueriesContext(connection) as queries:
        results = tasks.add.enqueue_many((number,) for number in range(1501))
    assert len([query for query in queries if "INSERT" in query["sql"]]) == 2
    assert [result.args for result in results] == [[number] for number in range(1501)]
    assert len({result.id for result in results}) == count_runs() == 1501


def test_what_makes_the_calls_may_ask_the_same_database(count_runs, monkeypatch):
    monkeypatch.setattr(backend_module, "BATCH", 2)

    def asked():
        for number in range(5):
            with connection.cursor() as cursor:
                cursor.execute("SELECT %s", [number])
                yield cursor.fetchone()

    assert [result.args for result in tasks.add.enqueue_many(asked())] == [[number] for number in range(5)]
    assert count_runs() == 5


def test_a_call_refused_when_others_have_been_sent_takes_them_along(count_runs, monkeypatch):
    monkeypatch.setattr(backend_module, "BATCH", 2)
    with transaction.atomic():
        with captured(task_enqueued) as received, pytest.raises(InvalidArguments, match=r"args\[0\]"):
            tasks.echo.enqueue_many([(1,), (2,), (3,), (4,), ({1, 2},)])
        assert received == []
        tasks.echo.enqueue(1)
    assert count_runs() == 1


def test_a_database_that_is_not_migrated_says_which_command_to_run(pg, monkeypatch):
    monkeypatch.setattr(backend_module, "BATCH", 2)
    pg.execute("DROP TABLE task_runs CASCADE")
    with pytest.raises(NotMigrated, match="migrate reproq_django"):
        tasks.add.enqueue_many((number,) for number in range(10))


def test_what_is_rolled_back_was_never_enqueued(count_runs):
    with transaction.atomic():
        tasks.add.enqueue_many([(1,), (2,)])
        assert count_runs() == 0
        transaction.set_rollback(True)
    assert count_runs() == 0


def test_a_refused_item_sends_nothing_and_leaves_the_transaction_usable(count_runs):
    with transaction.atomic():
        with CaptureQueriesContext(connection) as queries, pytest.raises(InvalidArguments, match=r"args\[0\]"):
            tasks.echo.enqueue_many([(1,), ({1, 2},)])
        assert len(queries) == 0
        tasks.echo.enqueue(1)
    assert count_runs() == 1


def test_a_connection_that_breaks_after_the_last_answer_raises_djangos_error(pg, monkeypatch):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()

    def end_the_session(cursor):
        answers = answers_to_many(cursor)
        pg.execute("SELECT pg_terminate_backend(%s, 5000)", pid)
        return answers

    monkeypatch.setattr(bulk_module.runs, "answers_to_many", end_the_session)
    with pytest.raises(OperationalError):  # not psycopg's, which a project's `except` clauses do not know
        tasks.add.enqueue_many([(1, 2)])
    connection.close()


def test_a_batch_that_the_database_refuses_takes_the_ones_before_along(count_runs, monkeypatch):
    monkeypatch.setattr(backend_module, "BATCH", 2)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE task_runs ADD CHECK (args::text <> '[7]')")
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            tasks.add.enqueue_many((number,) for number in range(10))
        tasks.add.enqueue(100)
    assert count_runs() == 1


@pytest.mark.parametrize("name", ["backend.ReproqBackend", "testing.ImmediateBackend", "testing.DummyBackend"])
@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        ((tasks.echo, (1, {"a": [0, float("nan")]}), {}), InvalidArguments, "args[1].a[1] is nan, which JSON cannot"),
        ((tasks.add, (1, 2, 3), {}), TypeError, "tests.django.tasks.add(left, right=0) does not take these arguments"),
        ((tasks.add.using(queue_name="mail"), (1,), {}), InvalidTask, "Task tests.django.tasks.add is for the queue"),
    ],
)
def test_the_error_of_a_refused_item_says_which_it_is(name, call, kind, says, monkeypatch):
    monkeypatch.setattr(backend_module, "BATCH", 2)
    fine = (tasks.echo, (1, 2), {})
    ours = {"BACKEND": f"reproq_django.{name}", "QUEUES": ["default"]}
    with override_settings(TASKS={"default": ours}), pytest.raises(kind) as refused:
        task_backends["default"].enqueue_many([fine, fine, fine, call, fine])
    assert str(refused.value).startswith(f"item 3 (counted from 0): {says}")
    assert getattr(refused.value, "path", "args[1].a[1]") in ("args[1].a[1]", "")


@pytest.mark.parametrize("name", ["backend.ReproqBackend", "testing.ImmediateBackend", "testing.DummyBackend"])
@pytest.mark.parametrize(
    "call", ["abc", 7, None, (1,), (tasks.add, (1,)), ("tests.django.tasks.add", (1,), {}), (tasks.add, 1, {})]
)
def test_a_call_of_a_backend_that_is_none_is_named_with_what_one_is(name, call):
    ours = {"BACKEND": f"reproq_django.{name}"}
    with override_settings(TASKS={"default": ours}), pytest.raises(TypeError) as refused:
        task_backends["default"].enqueue_many([(tasks.add, (1,), {}), call])
    begins = "enqueue_many of a backend takes (task, args, kwargs) for each run: a Task, a list or tuple, and a dict; "
    assert str(refused.value).startswith(f"{begins}item 1 (counted from 0) is {call!r:.80}, of type ")


@pytest.mark.parametrize("item", ["abc", 7, None, {1, 2}])
def test_an_item_that_is_no_list_of_arguments_is_named(item):
    with pytest.raises(TypeError, match=r"item 1 \(counted from 0\) is .* write \(value,\)"):
        tasks.add.enqueue_many([(1,), item])


def test_a_call_that_the_function_does_not_take_is_refused():
    with pytest.raises(TypeError, match="too many positional arguments"):
        tasks.add.enqueue_many([(1,), (1, 2, 3)])


def test_the_task_is_validated(settings_with_queues):
    with pytest.raises(InvalidTask, match="for the queue 'default'"):
        tasks.add.enqueue_many([(1,)])


@pytest.fixture
def settings_with_queues():
    ours = {"BACKEND": "reproq_django.backend.ReproqBackend", "QUEUES": ["mail"]}
    with override_settings(TASKS={"default": ours}):
        yield


def test_nothing_in_and_nothing_out():
    with captured(task_enqueued) as received:
        assert tasks.add.enqueue_many([]) == []
    assert received == []


def test_async_code_has_its_own_name_for_it(count_runs):
    results = async_to_sync(tasks.add.aenqueue_many)([(1,), (2,)])
    assert [result.args for result in results] == [[1], [2]]
    assert count_runs() == 2


@pytest.mark.parametrize("name", ["ImmediateBackend", "DummyBackend"])
def test_the_backends_for_tests_have_it_too(name):
    with override_settings(TASKS={"default": {"BACKEND": f"reproq_django.testing.{name}", "QUEUES": []}}):
        results = tasks.add.enqueue_many([(1,), {"left": 2}])
        assert [(result.args, result.kwargs) for result in results] == [([1], {}), ([], {"left": 2})]
