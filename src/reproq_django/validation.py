"""What a Task must be, beyond Django's own rules: shared by our backend and the ones for tests."""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.tasks import Task, TaskResult
from django.tasks.exceptions import InvalidTask
from django.utils import timezone

from reproq.errors import InvalidArguments
from reproq.queue_names import queue_name_fault
from reproq_django.task_class import ReproqTask, altered

FIRST_YEAR: Final = 2
LAST_YEAR: Final = 9998  # a year of room, so that no session's time zone reaches a year that Python has not


class WrongArguments(InvalidArguments, TypeError):
    """Arguments that the task's function does not take; a TypeError too, as its call would have raised."""


class TaskRules:
    """Mix-in for a BaseTaskBackend: our task class, run_after as a timedelta, names and times that can be stored,
    arguments that the function takes."""

    task_class = ReproqTask

    def validate_task(self, task: Task) -> None:
        """Raise InvalidTask, naming the value and its bound."""
        moment = moment_of(task.run_after)
        if self.queues and task.queue_name not in self.queues:
            raise InvalidTask(
                f"Task {task.module_path} is for the queue {task.queue_name!r}, which TASKS[{self.alias!r}]['QUEUES'] "
                f"does not have (it has {', '.join(map(repr, sorted(self.queues)))}): add it there, or set QUEUES to "
                "[] for any."
            )
        super().validate_task(task if moment is task.run_after else altered(task, run_after=moment))  # type: ignore[misc]
        if fault := queue_name_fault(task.queue_name):
            raise InvalidTask(f"Queue {task.queue_name!r} {fault}.")

    def validate_call(self, task: Task, args: Any, kwargs: Any) -> None:
        """Raise WrongArguments, naming task and signature, for a call that could only fail, attempt for attempt."""
        if kwargs or len(args) not in surely_taken(task):
            bind(task, args, kwargs)

    def enqueue_many(self, calls: Iterable[tuple[Task, Any, Any]]) -> list[TaskResult]:
        """The results of many calls, `(task, args, kwargs)` each, in their order."""
        given = list(calls)
        results: list[TaskResult] = []
        try:
            for task, args, kwargs in given:
                results.append(self.enqueue(task, args, kwargs))  # type: ignore[attr-defined]
        except Exception as error:
            refuse_what_is_no_call(given[len(results)], len(results))
            say_which_call(error, len(results))
            raise
        return results

    async def aenqueue_many(self, calls: Iterable[tuple[Task, Any, Any]]) -> list[TaskResult]:
        """`enqueue_many` in async code."""
        return await sync_to_async(self.enqueue_many, thread_sensitive=True)(calls)


def say_which_call(error: Exception, index: int) -> None:
    """Let the error of one of many calls begin with its place among them."""
    said, *rest = error.args or ("",)
    error.args = (f"item {index} (counted from 0): {said}", *rest)


def refuse_what_is_no_call(call: Any, index: int) -> None:
    """Raise TypeError for one of many calls that could not even be read; asked only of a call that was refused."""
    match call:
        case (Task(), list() | tuple(), dict()):
            return
    raise TypeError(
        "enqueue_many of a backend takes (task, args, kwargs) for each run: a Task, a list or tuple, and a dict; "
        f"item {index} (counted from 0) is {call!r:.80}, of type {type(call).__qualname__}"
    )


def bind(task: Task, args: Any, kwargs: Any) -> None:
    """Raise WrongArguments, naming task and signature, where the function does not take these arguments."""
    if (signature := _signature(task.func)) is None:
        return
    context = [None] if task.takes_context else []
    try:
        signature.bind(*context, *args, **kwargs)
    except TypeError as error:
        told = [str(error), *_unexpected(signature, kwargs, str(error))]
        raise WrongArguments(
            f"{task.module_path}{signature} does not take these arguments: {'; '.join(told)}"
        ) from None


def _unexpected(signature: inspect.Signature, kwargs: Mapping[str, Any], told: str) -> Iterator[str]:
    """What Python leaves out where an argument is missing: those that are there and have no place, often the same one
    under another name."""
    parameters = signature.parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return
    named = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    for name in kwargs:
        if name not in named and (sentence := f"got an unexpected keyword argument {name!r}") not in told:
            yield sentence


def check_reachable(task: Task, task_aliases: Mapping[str, str]) -> None:
    """Raise InvalidTask for a task of a shell or script itself: to a worker, `__main__` is another program, and what is
    typed into Django's shell bears the name of a module that does not have it."""
    function, module = task.func, task.func.__module__
    is_elsewhere = module != "__main__" and hasattr(sys.modules.get(module), function.__name__)
    if not is_elsewhere and task.module_path not in task_aliases:
        raise InvalidTask(
            f"Task {task.module_path} is defined in the program that was started (a shell, a script, python -m), where "
            "no worker can find it; define it in a module, such as tasks.py of an app, and import it from there."
        )


@lru_cache(maxsize=1024)
def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """What a call of the function itself must bind to: of a decorated one, what the wrapper takes, which may be less or
    more than what it wraps. None where Python cannot tell."""
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def surely_taken(task: Task) -> range:
    """How many positional arguments a call that has no others may surely have; empty where only a binding tells."""
    taken = _positional(task.func)
    return range(taken.start - 1, taken.stop - 1) if task.takes_context else taken


@lru_cache(maxsize=1024)
def _positional(function: Callable[..., Any]) -> range:
    """The same of a function, with the context that some take first."""
    parameters = list((_signature(function) or inspect.Signature()).parameters.values())
    if not all(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters):
        return range(0)
    return range(sum(one.default is one.empty for one in parameters), len(parameters) + 1)


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
