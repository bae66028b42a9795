"""From rows to Django's own TaskResult and TaskError; what `enqueue` and `get_result` return are equal."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.tasks import Task, TaskResult, TaskResultStatus
from django.tasks.base import TaskError

from reproq.lifecycle import EXCEPTION_CLASSES, Kind, Status
from reproq.spec import Spec
from reproq.store.results import StoredRun
from reproq.store.runs import Enqueued, NewRun, result_id
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

CANCELLED: Final = {
    "kind": Kind.CANCELLED.value,
    "exception_class": EXCEPTION_CLASSES[Kind.CANCELLED],
    "message": "the run was cancelled before it started",
}


def of_enqueued(task: Task, run: NewRun, answer: Enqueued, defaults: TaskOptions) -> TaskResult:
    """The result of a run that was just inserted."""
    return _result(_as_enqueued(task, run, answer, defaults), run, answer)


def of_many(
    planned: Sequence[tuple[Task, NewRun]], answers: Sequence[Enqueued], defaults: TaskOptions
) -> list[TaskResult]:
    """The results of runs that were just inserted; those of one Task and moment share their Task."""
    known: dict[tuple[int, datetime | None], Task] = {}
    made = []
    for (task, run), answer in zip(planned, answers, strict=True):
        key = id(task), answer.run_after
        if (stored := known.get(key)) is None:
            stored = known[key] = _as_enqueued(task, run, answer, defaults)
        made.append(_result(stored, run, answer))
    return made


def _as_enqueued(task: Task, run: NewRun, answer: Enqueued, defaults: TaskOptions) -> Task:
    applied = TaskOptions(run.max_attempts, run.backoff_seconds, run.timeout_seconds, run.expires_in_seconds)
    return altered(
        task,
        backend=run.backend,
        priority=run.priority,
        run_after=answer.run_after,
        **stated(applied, task.func, defaults),
    )


def _result(stored: Task, run: NewRun, answer: Enqueued) -> TaskResult:
    return TaskResult(
        task=stored,
        id=result_id(answer.run_id, run.nonce),
        status=TaskResultStatus.READY,
        enqueued_at=answer.enqueued_at,
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        backend=run.backend,
        errors=[],
        worker_ids=[],
        args=_parsed(run.spec.args_json),
        kwargs=_parsed(run.spec.kwargs_json),
    )


def _parsed(text: str) -> Any:
    return {} if text == "{}" else json.loads(text)


def arguments(spec: Spec) -> dict[str, Any]:
    """`args` and `kwargs` as the task will get them."""
    return {"args": json.loads(spec.args_json), "kwargs": json.loads(spec.kwargs_json)}


def of_stored(row: StoredRun, task: Task, backend: str, defaults: TaskOptions) -> TaskResult:
    """The result of a stored run; `task` is what its path names today."""
    applied = TaskOptions(row.max_attempts, row.backoff_seconds, row.timeout_seconds, row.expires_in_seconds)
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
