"""What stands between two runs of one process: nothing of Django's that one run leaves reaches the next."""

from contextvars import copy_context

import pytest
from django.db import connection, connections, transaction
from django.test import override_settings
from django.utils import timezone, translation

from reproq.lifecycle import Success
from reproq_django import many_runs
from tests.django import tasks
from tests.django.test_runner import payload


@pytest.fixture
def run(django_project, db, monkeypatch):
    """Run a function as a task does, as the executor pool does; its answer is JSON text."""
    runner = many_runs.setup()

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

    assert [run(queries) for _ in range(3)] == ["1"] * 3


def test_language_and_time_zone_end_with_their_run(run):
    def changes_both():
        before = f"{translation.get_language()} {timezone.get_current_timezone_name()}"
        translation.activate("de")
        timezone.activate("Asia/Tokyo")
        return before

    assert run(changes_both) == run(changes_both)
