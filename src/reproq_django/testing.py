"""Django's immediate and dummy backends with our rules: tests of a project need neither worker nor database.

They take the same options and arguments as `ReproqBackend`, and refuse the same ones with the same errors.
"""

from datetime import timedelta
from typing import Any

from django.tasks import Task, TaskResult
from django.tasks.backends import dummy, immediate
from django.utils import timezone

from reproq_django.arguments import spec_of
from reproq_django.results import arguments
from reproq_django.task_class import altered
from reproq_django.validation import TaskRules


class ImmediateBackend(TaskRules, immediate.ImmediateBackend):
    """Runs each task at once, in the process that enqueues it."""

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:
        self.validate_task(task)
        given = arguments(spec_of(task.module_path, args, kwargs))
        self.validate_call(task, **given)
        return super().enqueue(task, **given)


class DummyBackend(TaskRules, dummy.DummyBackend):
    """Keeps what was enqueued in `results`, and runs nothing."""

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:
        self.validate_task(task)
        given = arguments(spec_of(task.module_path, args, kwargs))
        self.validate_call(task, **given)
        if isinstance(task.run_after, timedelta):
            task = altered(task, run_after=timezone.now() + task.run_after)
        return super().enqueue(task, **given)
