"""From rows to Django's own TaskResult and TaskError; what `enqueue` and `get_result` return are equal."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.tasks import Task, TaskResult, TaskResultStatus
from django.tasks.base import TaskError

from reproq.lifecycle import EXCEPTION_CLASSES, Kind, Status
from reproq.spec import Spec
from reproq.store.results import StoredRun
from reproq.store.runs import Enqueued, NewRun, result_id
from reproq_django.arguments import is_flat
from reproq_django.prepared import Prepared
from reproq_django.task_class import altered
from reproq_django.task_options import TaskOptions, stated

STATUSES: Final = {
    Status.WAITING: TaskResultStatus.READY,
    Status.SCHEDULED: TaskResultStatus.READY,
    Status.READY: TaskResultStatus.READY,
    Status.RUNNING: TaskResultStatus.RUNNING,
    Status.SUCCESSFUL: TaskResultStatus.SUCCESSFUL,
    Status.FAILED: TaskResultStatus.FAILED,
    Status.CANCELLED: TaskResultStatus.FAILED,
}
"""Django's word for each of ours."""

put: Final = object.__setattr__  # Django's classes are frozen

CANCELLED: Final = {
    "kind": Kind.CANCELLED.value,
    "exception_class": EXCEPTION_CLASSES[Kind.CANCELLED],
    "message": "the run was cancelled before it started",
}


@dataclass(frozen=True, slots=True)
class Planned:
    """A run that is to be inserted, its Task, and the positional arguments as they were given."""

    prepared: Prepared
    run: NewRun
    args: Any


def of_enqueued(prepared: Prepared, run: NewRun, answer: Enqueued, args: Any) -> TaskResult:
    """The result of a run that was just inserted."""
    stored = prepared.as_stored
    if answer.run_after is not None:
        stored = altered(stored, run_after=answer.run_after)
    return _fresh(stored, run, answer, args)


def of_many(planned: Sequence[Planned], answers: Sequence[Enqueued]) -> list[TaskResult]:
    """The results of runs that were just inserted; those of one Task and moment share their Task."""
    known: dict[tuple[int, datetime], Task] = {}
    made = []
    for one, answer in zip(planned, answers, strict=True):
        stored = one.prepared.as_stored
        if (moment := answer.run_after) is not None:
            key = id(stored), moment
            if key not in known:
                known[key] = altered(stored, run_after=moment)
            stored = known[key]
        made.append(_fresh(stored, one.run, answer, one.args))
    return made


def _fresh(stored: Task, run: NewRun, answer: Enqueued, args: Any) -> TaskResult:
    """A TaskResult without its `__post_init__`, which would normalise what is the reading of a stored text."""
    result = object.__new__(TaskResult)
    put(result, "task", stored)
    put(result, "id", result_id(answer.run_id, run.nonce))
    put(result, "status", TaskResultStatus.READY)
    put(result, "enqueued_at", answer.enqueued_at)
    put(result, "started_at", None)
    put(result, "finished_at", None)
    put(result, "last_attempted_at", None)
    put(result, "args", list(args) if is_flat(args) else json.loads(run.spec.args_json))
    put(result, "kwargs", {} if run.spec.kwargs_json == "{}" else json.loads(run.spec.kwargs_json))
    put(result, "backend", run.backend)
    put(result, "errors", [])
    put(result, "worker_ids", [])
    put(result, "_return_value", None)
    return result


def arguments(spec: Spec) -> dict[str, Any]:
    """`args` and `kwargs` as the task will get them."""
    return {"args": json.loads(spec.args_json), "kwargs": json.loads(spec.kwargs_json)}


def of_stored(row: StoredRun, task: Task, backend: str, defaults: TaskOptions) -> TaskResult:
    """The result of a stored run; `task` is what its path names today."""
    applied = TaskOptions(
        row.max_attempts, row.backoff_seconds, row.timeout_seconds, row.expires_in_seconds, row.on_lost_contact
    )
    stored = altered(
        task,
        backend=backend,
        priority=row.priority,
        queue_name=row.queue_name,
        run_after=row.run_after,
        **stated(applied, task.func, defaults),
    )
    result = TaskResult(
        task=stored,
        id=result_id(row.run_id, row.nonce),
        status=STATUSES[row.status],
        enqueued_at=row.enqueued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        last_attempted_at=row.last_attempted_at,
        args=json.loads(row.args_json),
        kwargs=json.loads(row.kwargs_json),
        backend=backend,
        errors=task_errors(_entries(row)),
        worker_ids=list(row.worker_ids),
    )
    if row.return_json is not None:
        object.__setattr__(result, "_return_value", json.loads(row.return_json))
    return result


def _entries(row: StoredRun) -> list[dict[str, Any]]:
    entries = json.loads(row.errors_json)
    if row.status is Status.CANCELLED and (not entries or entries[-1].get("kind") != Kind.CANCELLED):
        entries.append(CANCELLED)
    return entries


def task_errors(entries: Iterable[Mapping[str, Any]]) -> list[TaskError]:
    """Stored errors as Django's. A kind that has no traceback (a killed child, say) shows its message there."""
    return [
        TaskError(
            exception_class_path=entry.get("exception_class", ""),
            traceback=entry.get("traceback") or entry.get("message", ""),
        )
        for entry in entries
    ]
