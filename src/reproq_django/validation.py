"""What a Task must be, beyond Django's own rules: shared by our backend and the ones for tests."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.tasks import Task
from django.tasks.exceptions import InvalidTask
from django.utils import timezone

from reproq.queue_names import queue_name_fault
from reproq_django.task_class import ReproqTask, altered

FIRST_YEAR: Final = 2
LAST_YEAR: Final = 9998  # a year of room, so that no session's time zone reaches a year that Python has not


class TaskRules:
    """Mix-in for a BaseTaskBackend: our task class, run_after as a timedelta, names and times that can be stored."""

    task_class = ReproqTask

    def validate_task(self, task: Task) -> None:
        """Raise InvalidTask, naming the value and its bound."""
        moment = moment_of(task.run_after)
        super().validate_task(task if moment is task.run_after else altered(task, run_after=moment))  # type: ignore[misc]
        if fault := queue_name_fault(task.queue_name):
            raise InvalidTask(f"Queue {task.queue_name!r} {fault}.")


def moment_of(run_after: Any) -> datetime | None:
    """When a Task may run; a timedelta counts from now, by this host's clock (the stored one by the database's)."""
    if run_after is None:
        return None
    if not isinstance(run_after, datetime | timedelta):
        raise InvalidTask(f"run_after must be a datetime or a timedelta, got {run_after!r}.")
    try:
        moment = timezone.now() + run_after if isinstance(run_after, timedelta) else run_after
    except OverflowError:
        moment = datetime.max
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise InvalidTask(f"run_after must lie within the years {FIRST_YEAR} to {LAST_YEAR}, got {run_after!r}.")
    return moment
