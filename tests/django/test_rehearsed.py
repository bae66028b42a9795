"""The rehearsal of a run in the template of the executor `fork`: a project notices nothing of it."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.dispatch import Signal
from django.test import override_settings

from reproq_django import rehearsed
from tests.django.test_runner import PAYLOAD

OURS = "reproq_django.backend.ReproqBackend"

TASKS = """
import logging
import sys
from django.dispatch import receiver
from django.tasks import task
from django.tasks.signals import task_finished, task_started

logging.basicConfig(stream=sys.stdout, level="DEBUG", format="%(name)s")
logging.getLogger("django.tasks").setLevel("INFO")

@receiver([task_started, task_finished])
def hear(task_result, **more):
    print(f"{task_result.task.name} is {task_result.status}")

@task
def greet(name):
    return f"hello {name}"
"""
PROGRAM = """
import json, sys
from django.db import connections
from reproq_django import rehearsed
found = rehearsed.setup()
run = found.run
print("rehearsed")
message = sys.stdin.read()
print(run(json.loads(message)).return_json)
print(run(rehearsed._message()).return_json)
found.rehearse()
print("rehearsed in a child")
print(run(json.loads(message)).return_json)
print([one.connection for one in connections.all(initialized_only=True)])
"""


def test_no_receiver_and_no_log_of_the_project_hears_of_a_rehearsal(dsn: str, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "__init__.py").write_text("")
    (shop / "tasks.py").write_text(TASKS)
    (tmp_path / "settings.py").write_text("from tests.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'shop']\n")
    root = os.getcwd()
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "settings",
        "REPROQ_TEST_DSN": dsn,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), f"{root}/src", root]),
    }
    message = PAYLOAD | {"task_path": "shop.tasks.greet", "args": ["Ada"], "kwargs": {}}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(message), env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    first = said.index("rehearsed")
    assert not [line for line in said[:first] if "django.tasks" in line or " is " in line]
    heard = ["django.tasks", "greet is RUNNING", "django.tasks", "greet is SUCCESSFUL", '"hello Ada"']
    assert said[first + 1 : first + 6] == heard
    again = said.index("rehearsed in a child")
    assert said[again - 1] == '[1,"text"]', "the task that is rehearsed is one that the runner finds and runs"
    assert said[again + 1 : -1] == heard, "the receivers and the log are as they were"
    assert set(json.loads(said[-1].replace("None", "null"))) <= {None}


def test_a_receiver_that_is_connected_during_a_rehearsal_stays_connected() -> None:
    signal, heard = Signal(), []
    early = lambda **_: heard.append("early")  # noqa: E731
    late = lambda **_: heard.append("late")  # noqa: E731
    signal.connect(early)
    with rehearsed._heard_by(signal, []):
        signal.connect(late)
        signal.send(None)
    signal.send(None)
    assert heard == ["late", "early", "late"]


@pytest.mark.parametrize(("module", "name"), [("noop", "do_nothing"), ("first_line", "first_line")])
def test_what_load_tools_enqueue_can_be_imported_whatever_queues_a_project_has(module, name):
    with override_settings(TASKS={"default": {"BACKEND": OURS, "QUEUES": ["mail"]}}):
        imported = importlib.reload(importlib.import_module(f"reproq_django.{module}"))
    assert getattr(imported, name).module_path == f"reproq_django.{module}.{name}"
