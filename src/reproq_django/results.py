"""From rows to Django's own TaskResult and TaskError; what `enqueue` and `get_result` return are equal."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.tasks import Task, TaskResult, TaskResultStatus
from django.tasks.base import TaskError

from reproq.lifecycle import EXCEPTION_CLASSES, Kind, Status
from reproq.spec import Spec
from reproq.store.results import StoredRun
from reproq.store.runs import Enqueued, EnqueuedMany, NewRun, result_id
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


class Slot:
    """Sets one slot of a TaskResult, which is frozen: in half the time of object.__setattr__, which has to find it, and
    a result has thirteen."""

    task = TaskResult.task.__set__
    id = TaskResult.id.__set__
    status = TaskResult.status.__set__
    enqueued_at = TaskResult.enqueued_at.__set__
    started_at = TaskResult.started_at.__set__
    finished_at = TaskResult.finished_at.__set__
    last_attempted_at = TaskResult.last_attempted_at.__set__
    args = TaskResult.args.__set__
    kwargs = TaskResult.kwargs.__set__
    backend = TaskResult.backend.__set__
    errors = TaskResult.errors.__set__
    worker_ids = TaskResult.worker_ids.__set__
    return_value = TaskResult._return_value.__set__


CANCELLED: Final = {
    "kind": Kind.CANCELLED.value,
    "exception_class": EXCEPTION_CLASSES[Kind.CANCELLED],
    "message": "the run was cancelled before it started",
}


class Planned(NamedTuple):
    """A batch that is to be inserted, column by column: the Task of each run, the run, and the call as it was given."""

    prepared: Sequence[Prepared]
    runs: Sequence[NewRun]
    calls: Sequence[tuple[Task, Any, Any]]


def of_enqueued(prepared: Prepared, run: NewRun, answer: Enqueued, args: Any, kwargs: Any) -> TaskResult:
    """The result of a run that was just inserted."""
    stored = prepared.as_stored
    if answer.run_after is not None:
        stored = altered(stored, run_after=answer.run_after)
    return _fresh(stored, run, answer.run_id, answer.enqueued_at, args, kwargs)


def of_many(planned: Planned, answers: EnqueuedMany) -> list[TaskResult]:
    """The results of runs that were just inserted; those of one Task and moment share their Task."""
    return [
        _fresh(stored, run, run_id, answers.enqueued_at, args, kwargs)
        for stored, run, run_id, (_, args, kwargs) in zip(
            _as_stored(planned.prepared, answers.run_afters), planned.runs, answers.run_ids, planned.calls, strict=True
        )
    ]


def _as_stored(prepared: Sequence[Prepared], run_afters: Sequence[datetime | None] | None) -> Iterator[Task]:
    if run_afters is None:
        yield from (one.as_stored for one in prepared)
        return
    known: dict[tuple[int, datetime], Task] = {}
    for one, moment in zip(prepared, run_afters, strict=True):
        if moment is None:
            yield one.as_stored
        else:
            key = id(one), moment
            if key not in known:
                known[key] = altered(one.as_stored, run_after=moment)
            yield known[key]


def _fresh(stored: Task, run: NewRun, run_id: int, enqueued_at: datetime, args: Any, kwargs: Any) -> TaskResult:
    spec = run.spec
    args = list(args) if spec.flat else json.loads(spec.args_json)
    kwargs = dict(kwargs) if spec.flat else json.loads(spec.kwargs_json)
    return unfinished(stored, result_id(run_id, run.nonce), run.terms.backend, args, kwargs, enqueued_at)


def unfinished(
    task: Task, id_: str, backend: str, args: list[Any], kwargs: dict[str, Any], enqueued_at: datetime | None
) -> TaskResult:
    """The result of a run that waits. Made without its `__post_init__`, which would normalise arguments that are the
    reading of a stored text: that costs as much as all the rest."""
    result = object.__new__(TaskResult)
    Slot.task(result, task)
    Slot.id(result, id_)
    Slot.status(result, TaskResultStatus.READY)
    Slot.enqueued_at(result, enqueued_at)
    Slot.started_at(result, None)
    Slot.finished_at(result, None)
    Slot.last_attempted_at(result, None)
    Slot.args(result, args)
    Slot.kwargs(result, kwargs)
    Slot.backend(result, backend)
    Slot.errors(result, [])
    Slot.worker_ids(result, [])
    Slot.return_value(result, None)
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
        Slot.return_value(result, json.loads(row.return_json))
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
