"""Inserts many runs in one transaction, batch by batch: while the database inserts one, the next is made ready here.

It knows how batches travel, not what is in them.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from django.db import transaction
from django.tasks import TaskResult

from reproq.store import runs
from reproq_django import results
from reproq_django.cursors import opened, pipeline
from reproq_django.results import Planned
from reproq_django.wake import worth_waking_for


class Bulk:
    """The runs of one call: their results so far, in order, and the queues that somebody may have to be woken for."""

    def __init__(self, database: str) -> None:
        self.enqueued: list[TaskResult] = []
        self.queue_names: set[str] = set()
        self._database = database

    def insert(self, planned: Iterable[Sequence[Planned]]) -> None:
        """Insert all batches or none. Each is taken while the database is at the one before."""
        under_way: tuple[Any, Sequence[Planned]] | None = None
        with transaction.atomic(using=self._database), pipeline(self._database), ExitStack() as cursors:
            for batch in planned:
                cursor = cursors.enter_context(opened(self._database))
                runs.send_many(cursor, [one.run for one in batch])
                if under_way is not None:
                    self._take(*under_way)
                under_way = cursor, batch
            if under_way is not None:
                self._take(*under_way)

    def _take(self, cursor: Any, batch: Sequence[Planned]) -> None:
        answers = runs.answers_to_many(cursor)
        self.enqueued += results.of_many(batch, answers)
        for one, answer in zip(batch, answers, strict=True):
            if worth_waking_for(answer):
                self.queue_names.add(one.run.queue_name)
