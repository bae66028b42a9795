"""`ReproqBackend`: Django's Tasks API on the table `task_runs`, through the one statement that each call needs.

Built while user modules are being imported, so it imports no model and never raises for a setting: `check` reports
what is wrong, and `enqueue` refuses. It reads and writes the alias of OPTIONS["DATABASE"], never a router's replica.
"""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

from django.core.checks import CheckMessage
from django.db import connections, transaction
from django.db.utils import ProgrammingError
from django.tasks import Task, TaskResult
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.exceptions import TaskResultDoesNotExist
from django.tasks.signals import task_enqueued

from reproq.errors import NotMigrated
from reproq.store import results as stored_results
from reproq.store import runs
from reproq.store.runs import Enqueued, NewRun
from reproq_django import results
from reproq_django.arguments import spec_of
from reproq_django.checks import check_backend
from reproq_django.resolve import find_task
from reproq_django.settled import Settled, settle
from reproq_django.task_options import TaskOptions, effective
from reproq_django.validation import TaskRules
from reproq_django.wake import wake_after_commit, worth_waking_for

NOT_MIGRATED: Final = {"42P01", "42703", "42883"}  # no such table, column, function
BATCH: Final = 2_000
"""Runs in one INSERT: more would save nothing, and hold all their texts once more."""


class ReproqBackend(TaskRules, BaseTaskBackend):
    """Tasks as rows of `task_runs`."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True
    keeps_runs_in_our_tables = True  # migrations act on the databases of such backends

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        self._params = dict(params)
        readable = isinstance(params.get("QUEUES", []), list | tuple | set | frozenset)
        super().__init__(alias, self._params if readable else self._params | {"QUEUES": []})

    @cached_property
    def settled(self) -> Settled:
        """The OPTIONS, parsed. Raises ImproperlyConfigured, with all that is wrong, where they cannot work."""
        return settle(self.alias, self._params)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """System checks `reproq.E001` to `E008`, each with a hint."""
        return check_backend(self.alias, self._params)

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:
        """Insert one run, in the caller's own transaction: rolled back with it, visible with it.

        Raises InvalidTask, reproq.errors.InvalidArguments (with the path of the fault; a TypeError too where the
        function does not take the arguments) and ImproperlyConfigured, all before anything is sent to the database.
        """
        self.validate_task(task)
        run = self._new_run(task, effective(task, self.settled.defaults), args, kwargs)
        self.validate_call(task, args, kwargs)
        with self._cursor() as cursor:
            answer = runs.enqueue(cursor, run)
        if worth_waking_for(answer):
            wake_after_commit(self.settled.database, (run.queue_name,))
        result = results.of_enqueued(task, run, answer, self.settled.defaults)
        task_enqueued.send(type(self), task_result=result)
        return result

    def enqueue_many(self, calls: Iterable[tuple[Task, Any, Any]]) -> list[TaskResult]:
        """Insert many runs, thousands by one statement, in the caller's own transaction: all of them or none.

        A call is `(task, args, kwargs)`. The results are in the order of the calls, and the signals are sent in it.
        Raises what `enqueue` raises, for the first call that is refused, before anything is sent to the database.
        """
        planned = self._plan(calls)
        answers: list[Enqueued] = []
        with self._cursor() as cursor, transaction.atomic(using=self.settled.database):
            for start in range(0, len(planned), BATCH):
                answers += runs.enqueue_many(cursor, [run for _, run in planned[start : start + BATCH]])
        if names := {run.queue_name for (_, run), one in zip(planned, answers, strict=True) if worth_waking_for(one)}:
            wake_after_commit(self.settled.database, names)
        enqueued = results.of_many(planned, answers, self.settled.defaults)
        for result in enqueued:
            task_enqueued.send(type(self), task_result=result)
        return enqueued

    def _plan(self, calls: Iterable[tuple[Task, Any, Any]]) -> list[tuple[Task, NewRun]]:
        """The run of each call, beside its Task; what a Task alone decides is worked out once."""
        known: dict[int, TaskOptions] = {}
        planned: list[tuple[Task, NewRun]] = []  # it keeps the Tasks, and so their ids, alive
        for task, args, kwargs in calls:
            if (applied := known.get(id(task))) is None:
                self.validate_task(task)
                applied = known[id(task)] = effective(task, self.settled.defaults)
            planned.append((task, self._new_run(task, applied, args, kwargs)))
            self.validate_call(task, args, kwargs)
        return planned

    def _new_run(self, task: Task, applied: TaskOptions, args: Any, kwargs: Any) -> NewRun:
        delay = task.run_after if isinstance(task.run_after, timedelta) else None
        return NewRun(
            spec=spec_of(task.module_path, args, kwargs, self.settled.max_payload_bytes),
            nonce=secrets.randbits(64) - (1 << 63),
            backend=self.alias,
            queue_name=task.queue_name,
            priority=int(task.priority),
            run_after=None if delay is not None else task.run_after,
            delay_seconds=None if delay is None else delay.total_seconds(),
            max_attempts=applied.max_attempts,
            backoff_seconds=applied.backoff,
            timeout_seconds=applied.timeout,
            expires_in_seconds=applied.expires_in,
        )

    def get_result(self, result_id: str) -> TaskResult:
        """The result of a run of this backend, in one query.

        Raises TaskResultDoesNotExist for an id that is malformed, unknown or another backend's, and
        reproq.errors.UnknownTask where the run's task is not to be found (docs/why/results-of-unknown-tasks.md).
        """
        key = stored_results.parse_result_id(result_id)
        row = None
        if key is not None:
            with self._cursor() as cursor:
                row = stored_results.get_run(cursor, *key, self.alias)
        if row is None:
            raise TaskResultDoesNotExist(result_id)
        task = find_task(row.task_path, self.settled.task_aliases, result_id)
        return results.of_stored(row, task, self.alias, self.settled.defaults)

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        alias = self.settled.database
        try:
            with connections[alias].cursor() as cursor:
                yield cursor
        except ProgrammingError as error:
            if getattr(error.__cause__, "sqlstate", None) not in NOT_MIGRATED:
                raise
            raise NotMigrated(
                f"the database alias {alias!r} lacks what this version of Reproq needs ({error}); "
                f"run: python manage.py migrate reproq_django --database {alias}"
            ) from error
