"""Whether a task that a command names can be run: asked before anything is written that only a worker would find out.

It imports the task, as a child would, and runs nothing.
"""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.tasks import task_backends
from django.tasks.exceptions import InvalidTask

from reproq.errors import UnknownTask
from reproq_django.named_task import task_aliases_of
from reproq_django.resolve import find_task
from reproq_django.validation import WrongArguments, bind


def task_fault(backend: str, path: str, args: Sequence[Any], asker: str) -> str:
    """Why no child of this `TASKS` alias could run the task of this path with these arguments; empty where one could.
    `asker` is who names the task, in what is said."""
    try:
        bind(find_task(path, task_aliases_of(task_backends[backend]), asker), args, {})
    except (UnknownTask, InvalidTask, WrongArguments, ImproperlyConfigured) as error:
        return str(error)
    return ""
