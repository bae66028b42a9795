"""Payloads that want more than to run a task: what they name is no task, and what they add is not looked at."""

import json
import os
import sys

import pytest

from reproq.child.by_hand import whole_payload
from reproq.child.run import attempt
from reproq.lifecycle import Failure, Kind, Success
from reproq_django.executor import run
from tests.django import tasks

pytestmark = pytest.mark.usefixtures("django_project")

NO_TASKS = [
    "os.system",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.exec",
    "pickle.loads",
    "django.core.management.call_command",
    "tests.django.tasks.json",
    "tests.django.tasks.add.func",
    "tests.django.tasks.add.__class__",
    "tests.django.tasks.__builtins__",
    "tests.django.test_hostile_payloads.tasks",
    "tests.django.test_hostile_payloads.borrowed",
    "../../etc/passwd",
    "tests/django/tasks.add",
    "add",
    "",
    ".",
    "tests..tasks.add",
    "__main__.run",
    "tests.django.tasks.add\0.x",
]
borrowed = tasks.add
"""A task found in a module that is not its own."""


def body(**fields: object) -> bytes:
    return whole_payload(json.dumps({"v": 1} | fields).encode())


@pytest.mark.parametrize("path", NO_TASKS)
def test_what_is_no_task_at_exactly_its_own_path_is_not_run(path: str) -> None:
    outcome = attempt(body(task_path=path, args=["touch /tmp/canary"]), run).outcome
    assert isinstance(outcome, Failure)
    assert outcome.kind in (Kind.UNKNOWN_TASK, Kind.BAD_SPEC), outcome


def test_what_a_payload_says_of_settings_paths_and_environment_is_not_looked_at() -> None:
    environment, path = dict(os.environ), list(sys.path)
    hostile = {
        "settings": "hostile.settings",
        "DJANGO_SETTINGS_MODULE": "hostile.settings",
        "setup": "os:system",
        "environment": {"PATH": "/hostile", "LD_PRELOAD": "/hostile.so"},
        "env": {"PYTHONPATH": "/hostile"},
        "path": ["/hostile"],
        "python": "/hostile/python",
        "command": ["/hostile"],
        "executor": "command",
        "dsn": "postgresql://hostile/db",
        "__class__": "os.system",
    }
    whole = body(task_path="tests.django.tasks.add", args=[1, 2])
    added = json.dumps(hostile, separators=(",", ":"))[1:-1]
    outcome = attempt(whole.replace(b'{"v":1,', f'{{"v":1,{added},'.encode(), 1), run).outcome
    assert outcome == Success("3")
    assert (dict(os.environ), sys.path) == (environment, path)
    assert os.environ["DJANGO_SETTINGS_MODULE"] == "tests.settings"
    assert not {name for name in sys.modules if name.partition(".")[0] == "hostile"}


@pytest.mark.parametrize("backend", ["hostile", "../default", "os.system", ""])
def test_a_backend_that_the_project_does_not_have_names_no_class_to_import(backend: str) -> None:
    outcome = attempt(body(task_path="tests.django.tasks.add", args=[1, 2], backend=backend), run).outcome
    assert outcome == Success("3")


def test_arguments_are_data_however_they_look() -> None:
    looks = {"__reduce__": ["os.system", ["x"]], "py/object": "os.system", "$type": "System.Diagnostics.Process"}
    outcome = attempt(body(task_path="tests.django.tasks.echo", args=[looks]), run).outcome
    assert isinstance(outcome, Success)
    assert json.loads(outcome.return_json)["args"] == [looks]
