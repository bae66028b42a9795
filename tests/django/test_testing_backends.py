"""The backends for a project's tests: Django's, with our task class, our options and our refusals."""

from datetime import timedelta

import pytest
from django.tasks import TaskResultStatus, default_task_backend
from django.tasks.exceptions import InvalidTask
from django.test import override_settings
from django.utils import timezone

from reproq.errors import InvalidArguments
from reproq_django.task_class import ReproqTask
from reproq_django.testing import DummyBackend, ImmediateBackend
from tests.django import tasks

pytestmark = pytest.mark.usefixtures("django_project")

IMMEDIATE = override_settings(TASKS={"default": {"BACKEND": "reproq_django.testing.ImmediateBackend"}})
DUMMY = override_settings(TASKS={"default": {"BACKEND": "reproq_django.testing.DummyBackend"}})


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
