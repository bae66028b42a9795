"""From a payload to the task that it names, with what the run says of that task: found once, for any number of runs.

It runs nothing, and knows nothing of the run itself but these.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from typing import Any, Final

from django.conf import settings
from django.tasks import Task, task_backends
from django.tasks.exceptions import InvalidTaskBackend
from django.utils import timezone

from reproq_django.backend import ReproqBackend
from reproq_django.resolve import find_task
from reproq_django.task_class import altered

MAX_KNOWN: Final = 256
_SAID: Final = ("task_path", "backend", "priority", "queue_name", "run_after", "max_attempts", "timeout_seconds")


@dataclass(frozen=True, slots=True)
class NamedTask:
    """What all runs share that say the same of the same task: the Task as they say it, and the class of its backend,
    which sends the signals. `function` is set where calling the task is calling that."""

    task: Task
    sender: type
    function: Callable[..., Any] | None


class TaskFinder:
    """Finds, and remembers. Runs that say the same of the same task share one, as it is immutable."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], NamedTask] = {}

    def __call__(self, message: dict[str, Any]) -> NamedTask:
        """`find_named`, once for each of the last few tasks."""
        key = tuple(map(message.__getitem__, _SAID))
        if (found := self._known.get(key)) is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            found = self._known[key] = find_named(message)
        return found


def find_named(message: dict[str, Any]) -> NamedTask:
    """Find the task that a payload names. Raises UnknownTask."""
    backend = _backend(message["backend"])
    task = find_task(message["task_path"], task_aliases_of(backend))
    stored = altered(
        task,
        backend=message["backend"],
        priority=message["priority"],
        queue_name=message["queue_name"],
        run_after=moment_of(message["run_after"]),
        max_attempts=message["max_attempts"],
        timeout=message["timeout_seconds"],
    )
    is_called_plainly = type(task).call is Task.call and not iscoroutinefunction(task.func)
    return NamedTask(stored, type(backend), task.func if is_called_plainly else None)


def _backend(alias: str) -> Any:
    try:
        return task_backends[alias]
    except InvalidTaskBackend:  # enqueued under an alias that this project has no more
        return ReproqBackend(alias, {})


def task_aliases_of(backend: Any) -> Mapping[str, str]:
    """Where a backend of ours finds renamed tasks; others know none."""
    return backend.settled.task_aliases if isinstance(backend, ReproqBackend) else {}


def moment_of(text: str | None) -> datetime | None:
    """A payload's time as Django's settings want it: aware in UTC, or naive in the default time zone."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if settings.USE_TZ:
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return timezone.make_naive(moment, timezone.get_default_timezone())
