"""What stands between two runs of one process: nothing of Django's that one run leaves reaches the next."""

from contextvars import copy_context

import pytest
from django.core.cache import CacheHandler
from django.core.cache.backends.base import BaseCache
from django.db import connection, connections, transaction
from django.tasks.signals import task_finished, task_started
from django.test import override_settings
from django.utils import timezone, translation

from reproq.lifecycle import Kind, Success
from reproq_django import many_runs
from tests.django import tasks
from tests.django.test_runner import payload


@pytest.fixture
def run(django_project, db, monkeypatch):
    """Run a function as a task does, as the executor pool does; its answer is JSON text."""
    runner = many_runs.setup().run

    def call(function):
        monkeypatch.setattr(type(tasks.add), "call", lambda self, *args, **kwargs: function())
        outcome = copy_context().run(runner, payload("add"))
        assert isinstance(outcome, Success), outcome
        return outcome.return_json

    yield call
    connections.close_all()


def server_process():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def test_connections_end_with_their_run_unless_they_are_to_be_kept(run, monkeypatch):
    run(server_process)
    assert connection.connection is None
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    assert run(server_process) == run(server_process)


@pytest.mark.lesson("connections-left-broken-after-a-database-restart")
def test_a_kept_connection_that_the_server_has_dropped_is_replaced_before_a_run(run, pg, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    before = run(server_process)
    pg.execute("SELECT pg_terminate_backend(%s::int)", [before])
    assert run(server_process) != before


def test_a_transaction_that_a_run_left_open_is_none_of_the_next_ones(run):
    def leaves_it_open():
        transaction.atomic().__enter__()
        server_process()

    run(leaves_it_open)
    assert run(lambda: connections["default"].in_atomic_block) == "false"
    run(server_process)


@pytest.mark.lesson("memory-that-grows-in-debug")
@override_settings(DEBUG=True)
def test_the_query_log_of_debug_starts_anew(run):
    def queries():
        server_process()
        return len(connection.queries_log)

    connection.queries_log.clear()  # of what other tests have asked
    assert [run(queries) for _ in range(3)] == ["1"] * 3


def test_a_run_gets_what_it_says_of_its_task_and_not_what_the_last_one_said(django_project):
    runner, seen = many_runs.setup().run, []

    def receive(task_result, **_):
        task = task_result.task
        seen.append((task_result.id, task.priority, task.queue_name, task.timeout, task_result.args))

    said = [
        {"result_id": "1-0", "priority": 5, "queue_name": "mail", "timeout_seconds": 9.0, "args": [1, 2]},
        {"result_id": "2-0", "priority": 5, "queue_name": "mail", "timeout_seconds": 9.0, "args": [3, 4]},
        {"result_id": "3-0", "priority": -7, "queue_name": "slow", "timeout_seconds": None, "args": [5, 6]},
    ]
    task_started.connect(receive)
    try:
        outcomes = [runner(payload("add") | one) for one in said]
    finally:
        task_started.disconnect(receive)
    assert seen == [tuple(one.values()) for one in said]
    assert outcomes == [Success("3"), Success("7"), Success("11")]


def test_an_error_of_an_earlier_attempt_is_in_the_result_of_its_run_alone(django_project):
    runner, seen = many_runs.setup().run, []

    def receive(task_result, **_):
        seen.append((len(task_result.errors), task_result.attempts))

    task_finished.connect(receive)
    try:
        runner(payload("fail", "this text"))
        runner(payload("add", 1, 2) | {"errors": [], "worker_ids": ["w-1"]})
    finally:
        task_finished.disconnect(receive)
    assert seen == [(2, 2), (0, 1)]


def test_a_task_that_was_unknown_is_looked_for_again(django_project, monkeypatch):
    runner = many_runs.setup().run
    assert runner(payload("deployed_meanwhile", 1, 2)).kind is Kind.UNKNOWN_TASK
    monkeypatch.setattr(tasks, "deployed_meanwhile", tasks.add, raising=False)
    assert "lives at" in runner(payload("deployed_meanwhile", 1, 2)).message


def test_caches_are_closed_behind_the_run_that_used_one(run, monkeypatch):
    closed = []
    monkeypatch.setattr(BaseCache, "close", lambda self, **_: closed.append(True))
    monkeypatch.setattr(many_runs, "caches", caches := CacheHandler())  # which nobody in this process has used
    run(lambda: caches["default"].set("key", 1))
    assert closed
    closed.clear()
    run(lambda: None)
    assert not closed


def test_language_and_time_zone_end_with_their_run(run):
    def changes_both():
        before = f"{translation.get_language()} {timezone.get_current_timezone_name()}"
        translation.activate("de")
        timezone.activate("Asia/Tokyo")
        return before

    assert run(changes_both) == run(changes_both)
