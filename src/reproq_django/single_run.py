"""Runs one task of a Django project in a fork of a template: what the template has found out, no child finds out again.

A child copies every page that it changes, and calling a function changes some. So it looks for no task that the
template knows already, and for connections only where one was made.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any

from django.db import connections, reset_queries
from django.db.backends.signals import connection_created
from django.tasks import Task

from reproq.child.run import Runner
from reproq.lifecycle import Failure, Success
from reproq_django import executor
from reproq_django.backend import ReproqBackend
from reproq_django.named_task import MAX_KNOWN, TaskFinder
from reproq_django.task_options import effective


def setup() -> Runner:
    """Import the project as every template does, and return what runs one payload."""
    executor.setup()
    for module in ("noop", "first_line"):
        with suppress(Exception):
            # What load tools enqueue: as much at hand as a task of the project, or they would measure its import.
            import_module(f"reproq_django.{module}")
    reset_queries()  # of what the import has asked a database
    runs = SingleRun()
    for task in list(imported_tasks())[: MAX_KNOWN - 1]:
        with suppress(Exception):  # what is wrong with a task is told by its runs
            runs.expect(task)
    return runs.run


class SingleRun:
    """What a template keeps for its children: the tasks it knows; and each of them, whether it has connected."""

    def __init__(self) -> None:
        self._find = TaskFinder()
        self._has_connected = False
        connection_created.connect(self._on_connection)

    def expect(self, task: Task) -> None:
        """Find a task beforehand, for those of its runs that say of it what it says itself."""
        backend = task.get_backend()
        if isinstance(backend, ReproqBackend):
            applied = effective(task, backend.settled.defaults)
            said = {"backend": backend.alias, "priority": int(task.priority), "queue_name": task.queue_name}
            said |= {"run_after": None, "max_attempts": applied.max_attempts, "timeout_seconds": applied.timeout}
            self._find({"task_path": task.module_path, **said})

    def run(self, message: dict[str, Any]) -> Success | Failure:
        """Run the task that a payload names, and say how that ended. Leaves no connection behind."""
        try:
            return executor.execute(message, self._find)
        finally:
            if self._has_connected:
                connections.close_all()

    def _on_connection(self, **_: Any) -> None:
        self._has_connected = True


def imported_tasks() -> Iterator[Task]:
    """The tasks of all modules that are imported by now, each once. Nothing lazy is woken by being asked what it is."""
    met: set[int] = set()
    for module in [one for one in sys.modules.values() if type(one) is ModuleType]:
        for value in [one for one in vars(module).values() if issubclass(type(one), Task)]:
            if id(value) not in met:
                met.add(id(value))
                yield value
