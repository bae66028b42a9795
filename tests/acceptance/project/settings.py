"""A small project, as a user has one. A broken variant is chosen by PROJECT_FLAW, DEBUG by PROJECT_DEBUG, its queues by
PROJECT_QUEUES."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as _APPS
from tests.settings import TASKS as _TASKS

INSTALLED_APPS = [*_APPS, "tests.acceptance.project"]
if os.environ.get("PROJECT_FLAW"):
    INSTALLED_APPS.append("tests.acceptance.flawed")
DEBUG = bool(os.environ.get("PROJECT_DEBUG"))
if os.environ.get("PROJECT_MODULES"):
    TASKS = {
        "default": {
            "BACKEND": "reproq_django.backend.ReproqBackend",
            "OPTIONS": {"TASK_MODULES": os.environ["PROJECT_MODULES"].split()},
        }
    }
if os.environ.get("PROJECT_QUEUES"):
    TASKS = {"default": _TASKS["default"] | {"QUEUES": os.environ["PROJECT_QUEUES"].split(",")}}
