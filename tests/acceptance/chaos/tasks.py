"""The tasks of a round. Each execution leaves a line when it begins and one when it ends, in a file, so that it counts
whatever the database remembers."""

import os
import time
from typing import Any

from django.tasks import TaskContext, task

from reproq_django import options
from tests.acceptance.chaos.ledger import append

MARK_SECONDS = 0.1
"""A task that takes longer says so often that it still runs: if it is killed, its last word tells until when it did."""
PATIENT = {"max_attempts": 12, "backoff": [0.2]}


class Stumbled(Exception):
    """What `stumble` raises the first time."""


def _mark(word: str, context: TaskContext, label: str, now: float) -> None:
    result = context.task_result
    fields = [word, label, result.id, str(context.attempt), result.worker_ids[-1], str(os.getpid()), repr(now)]
    append(os.path.join(os.environ["CHAOS_FOLDER"], "marks"), " ".join(fields))


@task(takes_context=True)
@options(**PATIENT)
def work(context: TaskContext, label: str, seconds: float) -> dict[str, Any]:
    """Takes its time; what it returns names this very execution."""
    began = time.time()
    _mark("began", context, label, began)
    while (left := began + seconds - time.time()) > 0:
        time.sleep(min(left, MARK_SECONDS))
        _mark("runs", context, label, time.time())
    _mark("ended", context, label, time.time())
    return {"label": label, "began": began, "pid": os.getpid()}


@task(takes_context=True)
@options(**PATIENT)
def stumble(context: TaskContext, label: str) -> dict[str, Any]:
    """Raises until an error of its own is on record, then returns."""
    began = time.time()
    _mark("began", context, label, began)
    if not any(error.exception_class_path.endswith(".Stumbled") for error in context.task_result.errors):
        raise Stumbled(label)
    _mark("ended", context, label, time.time())
    return {"label": label, "began": began, "pid": os.getpid()}


@task(takes_context=True)
@options(max_attempts=3, backoff=[0.2])
def fail(context: TaskContext, label: str) -> None:
    """Raises each time."""
    _mark("began", context, label, time.time())
    raise ValueError(label)


@task(takes_context=True)
@options(max_attempts=2, backoff=[0.2], timeout=0.5)
def overrun(context: TaskContext, label: str) -> None:
    """Takes longer than it may, each time."""
    _mark("began", context, label, time.time())
    time.sleep(60)
