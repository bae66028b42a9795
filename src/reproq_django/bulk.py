"""Inserts many runs in one transaction, batch by batch: while the database inserts one, the next is made ready here.

It knows how batches travel, not what is in them.
"""

from collections.abc import Iterable

from django.db import connections, transaction
from django.tasks import TaskResult

from reproq.store import runs
from reproq.store.runs import EnqueuedMany
from reproq_django import results
from reproq_django.cursors import Opened, pipeline
from reproq_django.results import Planned
from reproq_django.wake import worth_waking_for


class Bulk:
    """The runs of one call: their results so far, in order, and the queues that somebody may have to be woken for."""

    def __init__(self, database: str) -> None:
        self.enqueued: list[TaskResult] = []
        self.queue_names: set[str] = set()
        self._database = database

    def insert(self, planned: Iterable[Planned]) -> None:
        """Insert all batches or none. Each is made ready while the database is at the one before, and the results of
        that one are made while it is at this one."""
        under_way: Planned | None = None
        connection = connections[self._database]
        with transaction.atomic(using=self._database), pipeline(connection), Opened(connection) as cursor:
            for batch in planned:
                # psycopg reads the answers to all that is sent: asked for later, they would wait for this batch too.
                answers = runs.answers_to_many(cursor) if under_way else None
                runs.send_many(cursor, batch.runs)
                if under_way and answers:
                    self._take(under_way, answers)
                under_way = batch
            if under_way:
                self._take(under_way, runs.answers_to_many(cursor))

    def _take(self, batch: Planned, answers: EnqueuedMany) -> None:
        self.enqueued += results.of_many(batch, answers)
        if answers.run_afters is None:
            self.queue_names |= {run.terms.queue_name for run in batch.runs}
            return
        for run, run_after in zip(batch.runs, answers.run_afters, strict=True):
            if worth_waking_for(answers.enqueued_at, run_after):
                self.queue_names.add(run.terms.queue_name)
