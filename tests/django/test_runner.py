"""The runner of the executor: a payload in, Success or Failure out, with Django's signals on the way."""

import json
import os
import subprocess
import sys
import textwrap
from collections import UserDict
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.dispatch import Signal
from django.tasks import TaskResultStatus
from django.tasks.signals import log_task_finished, log_task_started, task_finished, task_started
from django.test import override_settings

from reproq.lifecycle import Failure, Kind, Success
from reproq_django import signals
from reproq_django.backend import ReproqBackend
from reproq_django.executor import setup
from tests.django import tasks
from tests.django.conftest import OURS, captured

HERE = "tests.django.tasks"
NOW = "2026-01-01T12:00:00+02:00"
PAYLOAD = {
    "v": 1, "run_id": 41, "result_id": "41-0123456789abcdef", "backend": "default", "attempt": 2, "max_attempts": 3,
    "spec_hash": "0" * 64, "queue_name": "mail", "priority": 5, "run_after": None, "enqueued_at": NOW,
    "started_at": NOW, "last_attempted_at": NOW, "worker_ids": ["w-1", "w-2"], "timeout_seconds": 9.0, "seed": 1,
    "errors": [{"kind": "timeout", "exception_class": "reproq.errors.RunTimedOut", "message": "killed"}],
}  # fmt: skip


def payload(task, *args, **kwargs):
    return PAYLOAD | {"task_path": f"{HERE}.{task}", "args": list(args), "kwargs": kwargs}


@pytest.fixture
def run(django_project):
    return setup()


@pytest.fixture
def run_returning(run, monkeypatch):
    """Run a task that returns this value."""

    def call(value):
        monkeypatch.setattr(type(tasks.add), "call", lambda self, *args, **kwargs: value)
        return run(payload("add"))

    return call


def test_a_task_runs_with_its_arguments_and_its_value_comes_back_as_json(run):
    assert run(payload("add", 1, right=2.5)) == Success("3.5")
    assert run(payload("add_async", 1, 2)) == Success("3")


def test_a_value_is_normalised_as_django_does(run_returning):
    assert run_returning({"a": (1, b"bytes"), b"1": None}) == Success('{"a":[1,"bytes"],"1":null}')


def test_texts_that_postgresql_could_not_hold_raw_travel_as_escapes(run_returning):
    assert run_returning("\0 \ud800 é") == Success('"\\u0000 \\ud800 \\u00e9"')


def test_the_context_is_the_real_result_built_without_a_query(run, db):
    connection.ensure_connection()
    outcome = run(payload("look_around", 7))
    assert json.loads(outcome.return_json) == {
        "id": "41-0123456789abcdef", "attempt": 2, "status": "RUNNING", "expected": [7],
    }  # fmt: skip


def test_the_result_shows_what_the_payload_says(run):
    with captured(task_started) as received:
        run(payload("add", 1))
    ((sender, result),) = received
    assert sender is ReproqBackend
    assert (result.task.queue_name, result.task.priority, result.backend) == ("mail", 5, "default")
    assert result.started_at == result.enqueued_at == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert result.last_attempted_at > result.started_at
    assert (result.worker_ids, [error.traceback for error in result.errors]) == (["w-1", "w-2"], ["killed"])


@override_settings(USE_TZ=False, TIME_ZONE="Europe/Zurich")
def test_without_time_zones_its_times_are_naive_and_local(run):
    with captured(task_started) as received:
        run(payload("add", 1))
    assert received[0][1].enqueued_at == datetime(2026, 1, 1, 11)
    assert received[0][1].last_attempted_at.tzinfo is None


def test_success_sends_both_signals_in_order(run):
    seen = []
    with captured(task_started) as started, captured(task_finished) as finished:
        task_started.connect(lambda task_result, **rest: seen.append(task_result.status), weak=False, dispatch_uid="s")
        task_finished.connect(lambda task_result, **rest: seen.append(task_result.status), weak=False, dispatch_uid="f")
        try:
            run(payload("add", 1))
        finally:
            task_started.disconnect(dispatch_uid="s")
            task_finished.disconnect(dispatch_uid="f")
    assert seen == ["RUNNING", "SUCCESSFUL"]
    assert started[0][0] is finished[0][0] is ReproqBackend
    assert finished[0][1].return_value == 1
    assert finished[0][1].finished_at is not None


@pytest.mark.parametrize(
    ("task", "path"),
    [("fail", "builtins.ValueError"), ("leave", "builtins.SystemExit"), ("interrupt", "builtins.KeyboardInterrupt")],
)
def test_whatever_a_task_raises_is_a_failure_of_the_attempt(run, task, path):
    with captured(task_finished) as finished:
        outcome = run(payload(task))
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.exception_class) == (Kind.EXCEPTION, path)
    assert path.rpartition(".")[2] in outcome.traceback
    assert finished[0][1].status == TaskResultStatus.FAILED
    assert finished[0][1].errors[-1].exception_class_path == path


def test_task_finished_is_sent_while_the_exception_is_handled(run):
    seen = []
    receive = lambda **rest: seen.append(sys.exc_info()[0])  # noqa: E731
    task_finished.connect(receive)
    try:
        run(payload("fail", "this text"))
    finally:
        task_finished.disconnect(receive)
    assert seen == [ValueError]


def test_django_logs_start_and_end(run, caplog):
    caplog.set_level("DEBUG", logger="django.tasks")
    run(payload("fail", "this text"))
    texts = [record.getMessage() for record in caplog.records]
    assert ["RUNNING" in texts[0], "FAILED" in texts[1]] == [True, True]
    assert "this text" in caplog.text


def test_whoever_listens_hears_of_every_run_also_where_nobody_shows_djangos_lines(run, caplog):
    caplog.set_level("WARNING", logger="django.tasks")
    heard = []

    def receive(signal, task_result, **_):
        heard.append(task_result.status)

    for signal in (task_started, task_finished):
        signal.connect(receive)
    try:
        run(payload("add", 1, 2))
    finally:
        for signal in (task_started, task_finished):
            signal.disconnect(receive)
    assert heard == ["RUNNING", "SUCCESSFUL"]


def test_django_logs_a_failure_where_only_failures_are_shown(run, caplog):
    caplog.set_level("WARNING", logger="django.tasks")
    run(payload("add", 1, 2))
    run(payload("fail", "this text"))
    assert ["FAILED" in record.getMessage() for record in caplog.records] == [True]


def test_a_receiver_instead_of_djangos_own_is_heard(run, caplog):
    caplog.set_level("WARNING", logger="django.tasks")
    heard = []

    def receive(task_result, **_):
        heard.append(task_result.id)

    task_started.disconnect(log_task_started)
    task_started.connect(receive)
    try:
        run(payload("add", 1, 2))
    finally:
        task_started.disconnect(receive)
        task_started.connect(log_task_started)
    assert heard == ["41-0123456789abcdef"]


def test_a_receiver_that_is_held_strongly_is_not_called_to_find_djangos_own():
    signal, called = Signal(), []
    signal.connect(lambda **_: called.append(1), weak=False)
    signal.connect(log_task_started)
    assert signals._key_of(signal, log_task_started) == signal.receivers[1][0]
    assert signals._key_of(signal, log_task_finished) is None
    assert called == []


class Unreadable(dict):
    def items(self):
        raise OSError("gone")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"rows": [1, {2}]}, "Unsupported type: <class 'set'> at return_value.rows[1]"),
        ([1.0, float("nan")], "return_value[1] is nan"),
        (b"\xff", "Unsupported value: <class 'bytes'> at return_value"),
        (10**5000, "return_value is an integer of more than"),
        ({(1, 2): 3}, "return_value has a key of type tuple ((1, 2)); JSON keys are text, so make it str(key)"),
        ([{"a": {1: 2}}], "return_value[0].a has a key of type int (1)"),
        ({"a": {None: 2}, "b": b"bytes"}, "return_value.a has a key of type NoneType"),
        (UserDict({1: {2}}), "return_value has a key of type int"),
        (Unreadable(a=1), "OSError: gone"),
    ],
    ids=["set", "nan", "bytes", "integer", "key", "number", "none", "mapping", "unreadable"],
)
def test_a_value_that_cannot_be_stored_is_a_bad_return_that_says_what_and_where(run_returning, value, text):
    outcome = run_returning(value)
    assert (outcome.kind, outcome.exception_class) == (Kind.BAD_RETURN, "reproq.errors.BadReturn")
    assert text in outcome.message


def test_a_cyclic_value_is_a_bad_return(run_returning):
    cycle = []
    cycle.append(cycle)
    outcome = run_returning({"a": cycle})
    assert outcome.kind == Kind.BAD_RETURN
    assert "return_value.a[0] contains itself" in outcome.message


def test_a_task_that_raises_bad_return_itself_has_just_failed(run, monkeypatch):
    from reproq.errors import BadReturn

    def raising(self):
        raise BadReturn("mine")

    monkeypatch.setattr(type(tasks.add), "call", raising)
    assert run(payload("add")).kind == Kind.EXCEPTION


@pytest.mark.parametrize(
    ("name", "reason"),
    [("gone", "has no 'gone'"), ("plain_function", "not a Task"), ("renamed_name", f"lives at '{HERE}.add'")],
)
def test_a_path_that_names_no_task_is_an_unknown_task(run, name, reason):
    with captured(task_started) as started:
        outcome = run(payload(name))
    assert (outcome.kind, outcome.exception_class) == (Kind.UNKNOWN_TASK, "reproq.errors.UnknownTask")
    assert all(part in outcome.message for part in (f"{HERE}.{name}", reason, "TASK_ALIASES"))
    assert PAYLOAD["result_id"] not in outcome.message, "it is stored for every run of the task"
    assert started == []


def test_a_module_that_cannot_be_imported_is_an_unknown_task_too(run):
    outcome = run(payload("add") | {"task_path": "nowhere.at.all"})
    assert outcome.kind == Kind.UNKNOWN_TASK
    assert "ModuleNotFoundError" in outcome.message


def test_a_renamed_task_runs(run):
    renames = {"TASK_ALIASES": {"shop.old": f"{HERE}.add"}}
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": renames}}):
        assert run(payload("add", 4) | {"task_path": "shop.old"}) == Success("4")


def test_a_run_of_a_backend_that_left_the_settings_still_runs(run):
    with captured(task_started) as started:
        assert run(payload("add", 4) | {"backend": "former"}) == Success("4")
    assert started[0][0] is ReproqBackend


def test_a_run_whose_queue_left_the_settings_still_runs(run):
    with override_settings(TASKS={"default": {"BACKEND": OURS, "QUEUES": ["other"]}}):
        assert run(payload("add", 4)) == Success("4")


def receiver_that_raises(error):
    def receive(**rest):
        raise error

    return receive


def test_a_raising_receiver_of_task_started_fails_the_attempt(run):
    receive = receiver_that_raises(RuntimeError("receiver"))
    task_started.connect(receive)
    try:
        with captured(task_finished) as finished:
            outcome = run(payload("add", 1))
    finally:
        task_started.disconnect(receive)
    assert (outcome.kind, outcome.exception_class) == (Kind.EXCEPTION, "builtins.RuntimeError")
    assert finished[0][1].status == TaskResultStatus.FAILED


@pytest.mark.parametrize("error", [RuntimeError("receiver"), SystemExit(3)], ids=["error", "exit"])
@pytest.mark.parametrize("task", ["add", "fail"])
def test_a_raising_receiver_of_task_finished_changes_no_outcome_and_is_logged(run, caplog, task, error):
    receive = receiver_that_raises(error)
    task_finished.connect(receive)
    try:
        outcome = run(payload(task, 1))
    finally:
        task_finished.disconnect(receive)
    assert isinstance(outcome, Success if task == "add" else Failure)
    if task == "fail":
        assert outcome.exception_class == "builtins.ValueError"
    assert [record for record in caplog.records if record.levelname == "ERROR" and record.name != "django.tasks"]


def test_every_run_closes_its_connections(run, db, monkeypatch):
    def query(self, *args):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return connection.connection is not None

    monkeypatch.setattr(type(tasks.add), "call", query)
    assert run(payload("add")) == Success("true")
    assert connection.connection is None


@override_settings(DEBUG=True)
def test_the_query_log_of_debug_starts_anew_with_every_run(run, db, monkeypatch):
    def query(self, *args):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return len(connection.queries_log)

    monkeypatch.setattr(type(tasks.add), "call", query)
    assert [run(payload("add")) for _ in range(3)] == [Success("1")] * 3


def test_setup_imports_the_projects_tasks_and_leaves_no_connection(dsn, tmp_path):
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "__init__.py").write_text("")
    (shop / "tasks.py").write_text(
        textwrap.dedent("""
        from django.contrib.contenttypes.models import ContentType
        from django.tasks import task
        ContentType.objects.count()

        @task
        def greet(name):
            return f"hello {name}"
        """)
    )
    (tmp_path / "settings.py").write_text("from tests.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'shop']\n")
    program = textwrap.dedent("""
        import sys, json
        from reproq_django.executor import setup
        assert "django.tasks" not in sys.modules or "shop.tasks" not in sys.modules
        run = setup()
        from django.db import connections
        assert "shop.tasks" in sys.modules
        assert all(one.connection is None for one in connections.all(initialized_only=True))
        print(run(json.loads(sys.stdin.read())).return_json)
    """)
    root = os.getcwd()
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "settings", "REPROQ_TEST_DSN": dsn,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), f"{root}/src", root]),
    }  # fmt: skip
    message = PAYLOAD | {"task_path": "shop.tasks.greet", "args": ["Ada"], "kwargs": {}}
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(message), env=environment, text=True, capture_output=True
    )
    assert (done.stdout, done.returncode) == ('"hello Ada"\n', 0), done.stderr
