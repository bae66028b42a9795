"""Enqueues all the time, as an application does, and writes down what it was told: python -m …producer NAME SEED RATE.

Ends in order on TERM. A call whose answer does not come is in doubt and never repeated.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.acceptance.chaos.ledger import append

BULK_RUNS = 12
ROLLED_BACK_RUNS = 2


class Producer:
    """One producer with a ledger of its own."""

    def __init__(self, name: str, seed: int, folder: Path) -> None:
        self._name = name
        self._rng = random.Random(f"{seed} {name}")
        self._ledger = folder / f"ledger-{name}"
        self._asked = 0
        self.enqueued = 0

    def call(self) -> None:
        """One call of an application, drawn by the seed: most are single."""
        drawn = self._rng.random()
        if drawn < 0.78:
            self._tell(1, self._alone)
        elif drawn < 0.86:
            self._tell(BULK_RUNS, self._bulk)
        elif drawn < 0.94:
            self._tell(3, self._together)
        else:
            self._roll_back()

    # -- ways to enqueue ----------------------------------------------------------------------------------------------

    def _alone(self, calls: Sequence[tuple[Any, list[Any]]]) -> list[Any]:
        return [task.enqueue(*args) for task, args in calls]

    def _together(self, calls: Sequence[tuple[Any, list[Any]]]) -> list[Any]:
        from django.db import transaction

        with transaction.atomic():
            return self._alone(calls)

    def _bulk(self, calls: Sequence[tuple[Any, list[Any]]]) -> list[Any]:
        from django.tasks import default_task_backend

        return default_task_backend.enqueue_many([(task, args, {}) for task, args in calls])

    def _roll_back(self) -> None:
        from django.db import Error, transaction

        labels = self._labels(ROLLED_BACK_RUNS)
        self._write("undone", labels)  # whatever happens now: nobody asks for a COMMIT
        try:
            with transaction.atomic():
                self._alone([self._drawn(label) for label in labels])
                transaction.set_rollback(True)
        except Error:
            self._start_over()

    def _tell(self, count: int, enqueue: Any) -> None:
        from django.db import Error

        labels = self._labels(count)
        self._write("asked", labels)
        try:
            results = enqueue([self._drawn(label) for label in labels])
        except Error:
            self._start_over()
        else:
            self._write("acknowledged", labels, ids=[int(result.id.partition("-")[0]) for result in results])
            self.enqueued += count

    def _start_over(self) -> None:
        from django.db import connection

        connection.close()
        time.sleep(0.1)

    # -- what is enqueued ---------------------------------------------------------------------------------------------

    def _labels(self, count: int) -> list[str]:
        first, self._asked = self._asked, self._asked + count
        return [f"{self._name}-{number}" for number in range(first, first + count)]

    def _drawn(self, label: str) -> tuple[Any, list[Any]]:
        from datetime import timedelta

        from tests.acceptance.chaos import tasks

        drawn = self._rng.random()
        if drawn < 0.03:
            return tasks.fail, [label]
        if drawn < 0.05:
            return tasks.overrun, [label]
        if drawn < 0.13:
            return tasks.stumble, [label]
        if drawn < 0.165:
            return tasks.work, [label, round(self._rng.uniform(0.5, 1.5), 2)]
        if drawn < 0.17:
            return tasks.work, [label, round(self._rng.uniform(5.0, 8.0), 2)]  # longer than the lease of a lost worker
        if drawn < 0.24:
            return tasks.work.using(run_after=timedelta(seconds=self._rng.uniform(0.2, 3.0))), [label, 0.0]
        if drawn < 0.25:
            return tasks.work.using(queue_name="cold", priority=self._rng.randint(-5, 5)), [label, 0.05]
        return tasks.work, [label, 0.0]

    def _write(self, what: str, labels: list[str], **more: Any) -> None:
        append(self._ledger, json.dumps({"what": what, "labels": labels} | more), durable=True)


def main() -> None:
    """Enqueue at the rate, until TERM."""
    import django

    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    django.setup()
    name, seed, rate = sys.argv[1:]
    producer = Producer(name, int(seed), Path(os.environ["CHAOS_FOLDER"]))
    began_s = time.monotonic()
    while not stopped:
        producer.call()
        ahead_seconds = producer.enqueued / float(rate) - (time.monotonic() - began_s)
        time.sleep(min(max(ahead_seconds, 0.0), 1.0))


if __name__ == "__main__":
    main()
