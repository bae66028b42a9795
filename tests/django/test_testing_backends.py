"""The backends for a project's tests: Django's, with our task class, our options and our refusals."""

from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import reduce

import pytest
from django.tasks import TaskResultStatus, default_task_backend
from django.tasks.exceptions import InvalidTask
from django.tasks.signals import task_enqueued, task_finished, task_started
from django.test import override_settings
from django.utils import timezone

from reproq.errors import BadReturn, InvalidArguments
from reproq_django.task_class import ReproqTask
from reproq_django.testing import DummyBackend, ImmediateBackend
from tests.django import tasks

pytestmark = pytest.mark.usefixtures("django_project")

IMMEDIATE = override_settings(TASKS={"default": {"BACKEND": "reproq_django.testing.ImmediateBackend"}})
DUMMY = override_settings(TASKS={"default": {"BACKEND": "reproq_django.testing.DummyBackend"}})


class Colour(StrEnum):
    RED = "red"


def test_they_share_the_task_class():
    assert ImmediateBackend.task_class is DummyBackend.task_class is ReproqTask


@IMMEDIATE
def test_the_immediate_backend_runs_at_once_and_returns_what_was_stored():
    result = tasks.echo.using(max_attempts=2).enqueue((1, 2), key=b"bytes")
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.return_value == {"args": [[1, 2]], "kwargs": {"key": "bytes"}}


@IMMEDIATE
def test_the_immediate_backend_shows_failures(caplog):
    result = tasks.fail.enqueue("broken")
    assert (result.status, result.errors[0].exception_class) == (TaskResultStatus.FAILED, ValueError)


IMMEDIATELY_REFUSED = {
    "set": ({1}, "Unsupported type: <class 'set'> at return_value"),
    "date": ([date(2026, 1, 2)], "return_value[0]"),
    "decimal": ({"sum": Decimal("1.5")}, "return_value.sum"),
    "nan": ([float("nan")], "return_value[0] is nan"),
    "key": ({"a": {1: 2}}, "return_value.a has a key of type int"),
    "large": ("x" * (2 << 20), "over the bound of 1,048,576"),
    "deep": (reduce(lambda inner, _: [inner], range(501), []), "nested 502 deep"),
}


@IMMEDIATE
@pytest.mark.parametrize("name", IMMEDIATELY_REFUSED)
def test_the_immediate_backend_refuses_what_a_worker_cannot_store(name, monkeypatch, caplog):
    value, text = IMMEDIATELY_REFUSED[name]
    monkeypatch.setattr(tasks, "to_return", value)
    result = tasks.returns.enqueue()
    assert result.status == TaskResultStatus.FAILED
    (error,) = result.errors
    assert error.exception_class is BadReturn
    assert text in error.traceback


@IMMEDIATE
def test_the_immediate_backend_returns_what_is_read_from_the_stored_text(monkeypatch):
    monkeypatch.setattr(tasks, "to_return", {"a": (1, b"x"), Colour.RED: Colour.RED})
    value = tasks.returns.enqueue().return_value
    assert value == {"a": [1, "x"], "red": "red"}
    assert {type(key) for key in value} == {type(value["red"])} == {str}


@override_settings(
    TASKS={
        "default": {
            "BACKEND": "reproq_django.testing.ImmediateBackend",
            "OPTIONS": {"MAX_RETURN_BYTES": 10, "MAX_PAYLOAD_BYTES": 20},
        }
    }
)
def test_the_immediate_backend_knows_the_bounds_of_its_options(monkeypatch):
    monkeypatch.setattr(tasks, "to_return", "x" * 9)
    assert "over the bound of 10" in tasks.returns.enqueue().errors[0].traceback
    with pytest.raises(InvalidArguments, match="max_payload_bytes=20"):
        tasks.echo.enqueue("x" * 20)


@IMMEDIATE
def test_the_immediate_backend_sends_the_signals_of_a_run(monkeypatch):
    heard = []
    for signal in (task_enqueued, task_started, task_finished):
        monkeypatch.setattr(signal, "receivers", list(signal.receivers))
        signal.connect(lambda task_result, **_: heard.append(task_result.status), weak=False)
    assert tasks.add.enqueue(1).status == TaskResultStatus.SUCCESSFUL
    assert heard == [TaskResultStatus.READY, TaskResultStatus.RUNNING, TaskResultStatus.SUCCESSFUL]


@IMMEDIATE
def test_the_immediate_backend_lets_a_person_interrupt_a_task_and_shows_its_exit_as_a_failure(monkeypatch, caplog):
    def interrupted(*args):
        raise error

    monkeypatch.setattr(type(tasks.add), "call", interrupted)
    error = SystemExit(3)
    assert tasks.add.enqueue(1).errors[0].exception_class is SystemExit
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        tasks.add.enqueue(1)


@IMMEDIATE
def test_the_immediate_backend_defers_nothing_as_djangos():
    for run_after in (timezone.now(), timedelta(hours=1)):
        with pytest.raises(InvalidTask, match="does not support run_after"):
            tasks.add.using(run_after=run_after)


@DUMMY
def test_the_dummy_backend_keeps_what_was_enqueued():
    result = tasks.add.using(run_after=timedelta(hours=1)).enqueue(1)
    assert default_task_backend.results == [result]
    assert result.task.run_after - timezone.now() < timedelta(hours=1)


@pytest.mark.parametrize("backend", [IMMEDIATE, DUMMY], ids=["immediate", "dummy"])
def test_what_production_refuses_is_refused_in_tests(backend):
    with backend:
        with pytest.raises(InvalidArguments, match=r"args\[0\]"):
            tasks.add.enqueue(float("nan"))
        with pytest.raises(InvalidTask, match="for the queue 'a,b'"):
            tasks.add.using(queue_name="a,b")
