"""`ReproqBackend`: Django's Tasks API on the table `task_runs`, through the one statement that each call needs.

Built while user modules are being imported, so it imports no model and never raises for a setting: `check` reports
what is wrong, and `enqueue` refuses. It reads and writes the alias of OPTIONS["DATABASE"], never a router's replica.
"""

import os
from array import array
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

from django.core.checks import CheckMessage
from django.db import connections
from django.tasks import Task, TaskResult
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.exceptions import TaskResultDoesNotExist

from reproq.store import results as stored_results
from reproq.store import runs
from reproq.store.runs import CONTINUE, NewRun, Terms
from reproq_django import results
from reproq_django.arguments import spec_of
from reproq_django.bulk import Bulk
from reproq_django.checks import check_backend
from reproq_django.cursors import Opened, commits_alone
from reproq_django.prepared import Prepared, PreparedTasks
from reproq_django.resolve import find_task
from reproq_django.results import Planned
from reproq_django.settled import Settled, settle
from reproq_django.signals import send_enqueued
from reproq_django.task_class import altered
from reproq_django.task_options import TaskOptions, effective, stated
from reproq_django.validation import (
    TaskRules,
    bind,
    check_reachable,
    refuse_what_is_no_call,
    say_which_call,
    surely_taken,
)
from reproq_django.wake import HORIZON_SECONDS, wake_after_commit, worth_waking_for

BATCH: Final = 1000
"""Runs in one INSERT. Twice as many would save the server 4 % more, and hold as many texts in memory."""


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
        prepared = self._prepared.of(task)
        run = self._new_run(prepared, args, kwargs, *nonces(1))
        connection = connections[self.settled.database]
        with Opened(connection) as cursor:
            within = HORIZON_SECONDS if commits_alone(connection) else None
            answer = runs.enqueue(cursor, run, wake_within_seconds=within)
        if not answer.has_asked and worth_waking_for(answer.enqueued_at, answer.run_after):
            wake_after_commit(self.settled.database, (run.terms.queue_name,))
        result = results.of_enqueued(prepared, run, answer, args, kwargs)
        send_enqueued(type(self), (result,))
        return result

    def enqueue_many(self, calls: Iterable[tuple[Task, Any, Any]]) -> list[TaskResult]:
        """Insert many runs, hundreds by one statement, in the caller's own transaction: all of them or none.

        A call is `(task, args, kwargs)`. The results are in the order of the calls, and the signals are sent in it.
        Raises what `enqueue` raises, for the first call that is refused, and says which item that is, counted from
        0; it leaves the transaction as it was. Nothing has been sent then, unless there are more than `BATCH` calls.
        """
        given = list(calls)  # what makes them may need the connection itself
        starts = range(0, len(given), BATCH)
        planned = (self._planned(given[start : start + BATCH], start) for start in starts)
        bulk = Bulk(self.settled.database)
        bulk.insert(planned if len(starts) > 1 else list(planned))  # of one batch, a refusal sends nothing
        if bulk.queue_names:
            wake_after_commit(self.settled.database, bulk.queue_names)
        send_enqueued(type(self), bulk.enqueued)
        return bulk.enqueued

    @cached_property
    def _prepared(self) -> PreparedTasks:
        return PreparedTasks(self._prepare)

    def _prepare(self, task: Task) -> Prepared:
        self.validate_task(task)
        check_reachable(task, self.settled.task_aliases)
        applied = effective(task, self.settled.defaults)
        said = stated(applied, task.func, self.settled.defaults)
        stored = altered(task, backend=self.alias, priority=int(task.priority), run_after=None, **said)
        terms = self._terms(stored, task.run_after, applied)
        return Prepared(task, task.module_path, terms, stored, surely_taken(task))

    def _terms(self, stored: Task, run_after: Any, applied: TaskOptions) -> Terms:
        delay = run_after if isinstance(run_after, timedelta) else None
        return Terms(
            backend=self.alias,
            queue_name=stored.queue_name,
            priority=stored.priority,
            run_after=None if delay is not None else run_after,
            delay_seconds=None if delay is None else delay.total_seconds(),
            max_attempts=applied.max_attempts,
            backoff_seconds=applied.backoff,
            timeout_seconds=applied.timeout,
            expires_in_seconds=applied.expires_in,
            on_lost_contact=applied.on_lost_contact or CONTINUE,
        )

    def _planned(self, calls: Sequence[tuple[Task, Any, Any]], first: int) -> Planned:
        prepared = []
        runs: list[NewRun] = []
        known: dict[int, Prepared] = {}  # `calls` keep the Tasks, and so their ids, alive
        try:
            for (task, args, kwargs), nonce in zip(calls, nonces(len(calls)), strict=True):
                if (one := known.get(id(task))) is None:
                    one = known[id(task)] = self._prepared.of(task)
                prepared.append(one)
                runs.append(self._new_run(one, args, kwargs, nonce))
        except Exception as error:
            refuse_what_is_no_call(calls[len(runs)], first + len(runs))
            say_which_call(error, first + len(runs))
            raise
        return Planned(prepared, runs, calls)

    def _new_run(self, prepared: Prepared, args: Any, kwargs: Any, nonce: int) -> NewRun:
        spec = spec_of(prepared.task_path, args, kwargs, self.settled.max_payload_bytes)
        if kwargs or len(args) not in prepared.surely_taken:
            bind(prepared.task, args, kwargs)
        return NewRun(spec, nonce, prepared.terms)

    def get_result(self, result_id: str) -> TaskResult:
        """The result of a run of this backend, in one query.

        Raises TaskResultDoesNotExist for an id that is malformed, unknown or another backend's, and
        reproq.errors.UnknownTask where the run's task is not to be found (docs/why/results-of-unknown-tasks.md).
        """
        key = stored_results.parse_result_id(result_id)
        row = None
        if key is not None:
            with Opened(connections[self.settled.database]) as cursor:
                row = stored_results.get_run(cursor, *key, self.alias)
        if row is None:
            raise TaskResultDoesNotExist(result_id)
        task = find_task(row.task_path, self.settled.task_aliases, f"run {result_id}")
        return results.of_stored(row, task, self.alias, self.settled.defaults)


def nonces(count: int) -> array[int]:
    """So many numbers that nobody can guess, at once: to ask the system for each would cost more than a hash does."""
    return array("q", os.urandom(8 * count))
