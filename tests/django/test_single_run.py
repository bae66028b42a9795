"""One run in a fork of a template: what the template has found out beforehand, and what a child leaves behind."""

import sys

import pytest
from django.db import connection, connections
from django.utils.functional import SimpleLazyObject

from reproq.lifecycle import Kind, Success
from reproq_django import named_task, single_run
from tests.django import tasks
from tests.django.test_runner import payload


@pytest.fixture
def run(django_project):
    return single_run.setup()


def test_a_task_that_the_template_has_imported_is_not_looked_for_in_a_child(run, monkeypatch):
    monkeypatch.setattr(named_task, "find_named", lambda message: pytest.fail("it was found before"))
    applied = tasks.add.get_backend().settled.defaults
    said = {"backend": "default", "priority": 0, "queue_name": "default", "run_after": None}
    said |= {"max_attempts": applied.max_attempts, "timeout_seconds": applied.timeout}
    assert run(payload("add", 1, 2) | said) == Success("3")


@pytest.mark.parametrize("module", ["reproq_django.noop", "reproq_django.first_line"])
def test_what_load_tools_enqueue_is_imported_before_any_child_is_forked(module, django_project, monkeypatch):
    monkeypatch.delitem(sys.modules, module, raising=False)
    single_run.setup()
    assert module in sys.modules


def test_a_task_that_nobody_has_imported_is_told_by_its_run_alone(run):
    assert run(payload("nowhere")).kind == Kind.UNKNOWN_TASK


def test_a_run_leaves_no_connection_behind(run, db, monkeypatch):
    def asks():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return connection.connection is not None

    monkeypatch.setattr(type(tasks.add), "call", lambda self, *args, **kwargs: asks())
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    connections.close_all()
    assert run(payload("add")) == Success("true")
    assert connection.connection is None


def test_no_lazy_object_is_woken_in_the_search_for_tasks(monkeypatch):
    lazy = SimpleLazyObject(lambda: pytest.fail("it was woken"))
    monkeypatch.setattr(tasks, "lazy", lazy, raising=False)
    assert tasks.add in list(single_run.imported_tasks())
