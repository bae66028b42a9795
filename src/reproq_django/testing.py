"""Django's immediate and dummy backends with our rules: tests of a project need neither worker nor database.

They take the same options and arguments as `ReproqBackend`, and refuse the same ones with the same errors; a task that
is run at once runs and ends as in a child of a worker, but for what only a process of its own can do.
"""

import json
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.tasks import Task, TaskResult, TaskResultStatus
from django.tasks.backends import dummy, immediate
from django.utils import timezone
from django.utils.crypto import get_random_string

from reproq.child.reply import storable
from reproq.config import Config, load
from reproq.lifecycle import Failure, Success
from reproq_django.arguments import spec_of
from reproq_django.conf import source_of
from reproq_django.executor import attempt
from reproq_django.named_task import NamedTask
from reproq_django.results import Slot, arguments, task_errors, unfinished
from reproq_django.signals import send_enqueued
from reproq_django.task_class import altered
from reproq_django.validation import TaskRules


class ImmediateBackend(TaskRules, immediate.ImmediateBackend):
    """Runs each task at once, in the process that enqueues it."""

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self._params = dict(params)

    @cached_property
    def _config(self) -> Config:
        return load(source_of(self.alias, self._params))

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:
        self.validate_task(task)
        given = arguments(spec_of(task.module_path, args, kwargs, self._config.max_payload_bytes))
        self.validate_call(task, **given)
        result = unfinished(task, get_random_string(32), self.alias, **given, enqueued_at=timezone.now())
        send_enqueued(type(self), (result,))
        self._run(result)
        return result

    def _run(self, result: TaskResult) -> None:
        """What a child does, and of its reply what a worker stores and `get_result` reads."""
        now = timezone.now()
        Slot.status(result, TaskResultStatus.RUNNING)
        Slot.started_at(result, now)
        Slot.last_attempted_at(result, now)
        result.worker_ids.append(self.worker_id)
        outcome = attempt(result, NamedTask(result.task, type(self), None), let_through=(KeyboardInterrupt,))
        if isinstance(outcome, Success):
            outcome = storable(outcome, self._config.max_return_bytes)
        if isinstance(outcome, Failure):
            said = {"exception_class": outcome.exception_class, "traceback": outcome.traceback}
            result.errors[:] = task_errors([said | {"message": outcome.message}])
            Slot.status(result, TaskResultStatus.FAILED)
            Slot.return_value(result, None)
        else:
            Slot.return_value(result, json.loads(outcome.return_json))


class DummyBackend(TaskRules, dummy.DummyBackend):
    """Keeps what was enqueued in `results`, and runs nothing."""

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:
        self.validate_task(task)
        given = arguments(spec_of(task.module_path, args, kwargs))
        self.validate_call(task, **given)
        if isinstance(task.run_after, timedelta):
            task = altered(task, run_after=timezone.now() + task.run_after)
        return super().enqueue(task, **given)
