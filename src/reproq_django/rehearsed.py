"""What the template of the executor `fork` is told of Django: `single_run.setup`, and then a rehearsal of a run.

A child is born with what its template has learnt, and copies every page that it changes. So all that Django and we do
for a run is done before, for a task that does nothing. No receiver of the project's hears of it, and nothing is logged.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

from django.dispatch import Signal
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, DEFAULT_TASK_QUEUE_NAME
from django.tasks.signals import task_finished, task_started

from reproq.child.run import Runner
from reproq.child.warming import Rehearsed
from reproq_django import executor, single_run
from reproq_django.task_class import unvalidated

ROUNDS: Final = 64
_log: Final = logging.getLogger("django.tasks")


@unvalidated
def nothing(*args: Any) -> list[Any]:
    """The task that is rehearsed."""
    return list(args)


def setup() -> Rehearsed:
    """Import the project and return what runs one payload, with that rehearsed."""
    started, finished = list(task_started.receivers), list(task_finished.receivers)  # none of the project's yet
    run = single_run.setup()
    notices = executor.wrong_schedules()
    rehearse = partial(_rehearse, run, started, finished)
    with suppress(Exception):  # what fails here fails in the first run, which tells it better
        for _ in range(ROUNDS):
            rehearse()
    # A logger remembers which levels it shows; what has not been asked is asked, and written, in each child.
    _log.isEnabledFor(logging.INFO)
    return Rehearsed(run, rehearse, notices)


def _rehearse(run: Runner, started: list[Any], finished: list[Any]) -> None:
    """Run the task that does nothing, heard by these receivers alone: Django's log, which shows nothing."""
    with _heard_by(task_started, started), _heard_by(task_finished, finished), _silent(_log):
        run(_message())


@contextmanager
def _heard_by(signal: Signal, receivers: list[Any]) -> Iterator[None]:
    """Within it, only these receivers hear the signal, and those that are connected meanwhile, which stay connected: a
    backend, say, may be imported only now."""
    kept, signal.receivers = signal.receivers, list(receivers)
    try:
        yield
    finally:
        known = {key for key, *_ in (*kept, *receivers)}
        signal.receivers = kept + [one for one in signal.receivers if one[0] not in known]


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _message() -> dict[str, Any]:
    """The payload of one attempt, as `reproq.child.payload` hands it on."""
    moment = "2000-01-01T00:00:00+00:00"
    return {
        "run_id": 0,
        "result_id": "0-0000000000000000",
        "backend": DEFAULT_TASK_BACKEND_ALIAS,
        "attempt": 1,
        "max_attempts": 1,
        "task_path": nothing.module_path,
        "args": [1, "text"],
        "kwargs": {},
        "queue_name": DEFAULT_TASK_QUEUE_NAME,
        "priority": 0,
        "run_after": None,
        "enqueued_at": moment,
        "started_at": None,
        "last_attempted_at": None,
        "worker_ids": ["rehearsal"],
        "errors": [],
        "timeout_seconds": None,
        "seed": 0,
    }
