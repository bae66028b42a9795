"""Runs one task of a Django project: the only thing that `reproq.child` is told of Django.

The template calls `setup()` once and forks; each child hands the runner one payload (contract 4). Signals are Django's:
`task_started` goes out by `send`, and a receiver that raises fails the attempt, as under Django's own backends;
`task_finished` goes out by `send_robust` (which logs), so no receiver can turn a success into a failure, or hide why a
task failed. It is sent for every attempt, since only the worker knows whether another one will follow.

`python -m reproq_django.executor` runs one payload (stdin or `--payload`) in a cold interpreter: the executor spawn.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import django
from django.db import connections, reset_queries
from django.tasks import Task, TaskContext, TaskResult, TaskResultStatus
from django.tasks.base import TaskError
from django.utils import timezone
from django.utils.module_loading import autodiscover_modules

from reproq.child.cold import main
from reproq.child.run import Runner, failure_of
from reproq.errors import BadReturn, UnknownTask
from reproq.lifecycle import Failure, Kind, Success
from reproq_django.libpq import keep_environment
from reproq_django.named_task import NamedTask, find_named, moment_of
from reproq_django.results import Slot, task_errors, unfinished
from reproq_django.return_values import encoded
from reproq_django.signals import send_finished, send_started

logger = logging.getLogger(__name__)


def setup() -> Runner:
    """Import the project (its apps, and their `tasks` modules) and return what runs one payload.

    Connections that the import opened are closed: a fork must never inherit one.
    """
    django.setup()
    _quieten_django()
    autodiscover_modules("tasks")
    keep_environment()
    connections.close_all()
    return run


def wrong_schedules() -> tuple[str, ...]:
    """Which `@periodic` of the project never fires. Only a template asks, once, for its worker's log."""
    from reproq_django.schedule_checks import wrong_declarations

    found: list[str] = []
    with suppress(Exception):  # what is wrong with a schedule stops no run
        found = wrong_declarations()
    connections.close_all()
    return tuple(found)


def _quieten_django() -> None:
    """Django logs two lines a run, which the settings that `startproject` makes show while DEBUG is on: every run would
    have a log, and say nothing in it that its row does not. A level that the project has set itself stays."""
    tasks = logging.getLogger("django.tasks")
    if tasks.level == logging.NOTSET:
        tasks.setLevel(logging.WARNING)


def run(message: dict[str, Any]) -> Success | Failure:
    """Run the task that a payload names, and say how that ended. Leaves no connection and no query log behind."""
    reset_queries()
    try:
        return execute(message)
    finally:
        connections.close_all()


def execute(message: dict[str, Any], find: Callable[[dict[str, Any]], NamedTask] = find_named) -> Success | Failure:
    """The same, but leave the connections to the caller, who may know the task already."""
    try:
        known = find(message)
    except UnknownTask as error:
        return _failure(Kind.UNKNOWN_TASK, error)
    return attempt(_running_result(message, known.task), known)


def _running_result(message: dict[str, Any], task: Task) -> TaskResult:
    """The TaskResult of this attempt, from the payload alone: no query."""
    now = timezone.now()
    enqueued_at = moment_of(message["enqueued_at"])
    result = unfinished(task, message["result_id"], message["backend"], message["args"], message["kwargs"], enqueued_at)
    Slot.status(result, TaskResultStatus.RUNNING)
    Slot.started_at(result, moment_of(message["started_at"]) or now)
    Slot.last_attempted_at(result, now)
    Slot.errors(result, task_errors(message["errors"]))
    Slot.worker_ids(result, list(message["worker_ids"]))
    return result


def attempt(
    result: TaskResult, known: NamedTask, let_through: tuple[type[BaseException], ...] = ()
) -> Success | Failure:
    """Call the task that a RUNNING result stands for, tell the receivers, and leave in the result how that ended. Only
    where a person runs it, something that it raises may not be its failure: Ctrl-C."""
    sender = known.sender
    try:
        send_started(sender, result)
        returned = _call(result, known.function)
    except let_through:
        raise
    except BaseException as error:
        return _failed(result, sender, Kind.EXCEPTION, error)
    try:
        value, text = encoded(returned)
    except BadReturn as error:
        return _failed(result, sender, Kind.BAD_RETURN, error)
    Slot.return_value(result, value)
    _finish(result, sender, TaskResultStatus.SUCCESSFUL)
    return Success(text)


def _call(result: TaskResult, function: Callable[..., Any] | None) -> Any:
    task = result.task
    context = (TaskContext(task_result=result),) if task.takes_context else ()
    return (function or task.call)(*context, *result.args, **result.kwargs)


def _failed(result: TaskResult, sender: type, kind: Kind, error: BaseException) -> Failure:
    """Called inside the except block, so that receivers (Django's log is one) find the exception."""
    failure = _failure(kind, error)
    result.errors.append(TaskError(exception_class_path=failure.exception_class, traceback=failure.traceback))
    _finish(result, sender, TaskResultStatus.FAILED)
    return failure


def _finish(result: TaskResult, sender: type, status: TaskResultStatus) -> None:
    Slot.finished_at(result, timezone.now())
    Slot.status(result, status)
    try:
        send_finished(sender, result)
    except BaseException:  # SystemExit in a receiver: send_robust lets that through
        logger.exception("A receiver of task_finished ended itself; run %s stays %s", result.id, status)


def _failure(kind: Kind, error: BaseException) -> Failure:
    return replace(failure_of(error), kind=kind)


if __name__ == "__main__":
    main(setup, "python -m reproq_django.executor")
