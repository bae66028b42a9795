"""`reproq bench enqueue`: what enqueueing costs beside a bare INSERT or COPY of the same rows, in turns.

CPU is this process's own, without the server's. No worker is at work; one that seems to wait is a row and a connection.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from reproq.loadtest.bench.figures import Figure, Goal, Of, Taking, at_least, at_most, too_few
from reproq.loadtest.bench.place import Place, ask, sql
from reproq.loadtest.bench.producer import Producer
from reproq.store.arrays import numbers
from reproq.store.db import opened
from reproq.store.listener import CHANNEL

MANY: Final = 10_000
SINGLES: Final = 500
MICROSECONDS: Final = 1e6


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of one round."""

    wall: float
    cpu: float


def measure(place: Place, producer: Producer, singles: int = SINGLES, many: int = MANY) -> list[Figure]:
    """Single enqueues, bulk enqueues, and bulk enqueues while a worker waits to be woken."""
    one_by_one = f"{singles:,} one by one{too_few(singles, SINGLES)}"
    place.say(f"enqueue: {one_by_one}, and {many:,} at once{too_few(many, MANY)}")
    try:
        with ExitStack() as stack:
            bare = _Bare(place, stack, _rows(place, producer, many))
            waits = _Waiting(place, stack, producer)
            figures = _singles(place, producer, bare, singles)
            figures.append(_bulk(place, producer, bare, many))
            figures.append(_awaited(place, producer, waits, many))
            return figures
    finally:
        place.clear()


def _rows(place: Place, producer: Producer, many: int) -> list[tuple[Any, ...]]:
    """The columns that the project itself wrote for so many runs, in our own queue from here on."""
    ids = place.note(producer.ids(producer.no_ops(many)))
    rows = ask(place.database, "written", {"queue": place.queue, "ids": numbers(ids)})
    place.clear()
    return rows


class _Bare:
    """psycopg alone: what the same rows cost without Reproq."""

    def __init__(self, place: Place, stack: ExitStack, rows: list[tuple[Any, ...]]) -> None:
        database = stack.enter_context(opened(place.config.dsn, "reproq bench bare"))
        self._connection = database.connected()
        self._cursor = self._connection.cursor()
        self._rows = rows

    def inserts(self, count: int) -> None:
        """One by one, in autocommit; psycopg prepares the statement when it sees it again."""
        insert = sql("insert")
        for row in self._rows[:count]:
            self._cursor.execute(insert, row).fetchone()

    def copy(self) -> None:
        """All at once."""
        with self._connection.transaction(), self._cursor.copy(sql("copy")) as stream:
            for row in self._rows:
                stream.write_row(row)


class _Waiting:
    """A worker that seems to wait: its row, and a session that hears what it would hear."""

    def __init__(self, place: Place, stack: ExitStack, producer: Producer) -> None:
        self._place = place
        self._queue = producer.queue
        stack.enter_context(opened(place.config.dsn, "reproq bench listener")).connected().execute(f"LISTEN {CHANNEL}")

    def waits(self, does: bool) -> None:
        queues = [self._queue] if does else []
        ask(self._place.database, "idle_worker", {"worker_id": f"{self._place.queue}-waits", "queues": queues})


def _in_turns(place: Place, ours: Callable[[], Timed], bare: Callable[[], Timed]) -> list[tuple[Timed, Timed]]:
    """Both, `times` times; one round before them only warms up."""
    found = []
    for _ in range(place.times + 1):
        place.go_on()
        found.append((ours(), bare()))
        place.clear()
    return found[1:]


def _timed(work: Callable[[], Any], keep: Callable[[Any], Any] = lambda made: None) -> Timed:
    """Do it once; what it has made is kept outside of the time."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = work()
    took = Timed(time.perf_counter() - wall, time.process_time() - cpu)
    keep(made)
    return took


def _goals(count: int, enough: int, *goals: Goal) -> tuple[Goal, ...]:
    """None where too few were enqueued: the first are slower than those that follow."""
    return goals if count >= enough else ()


def _rates(pairs: Sequence[tuple[Timed, Timed]], count: int) -> tuple[Taking, ...]:
    return tuple(Taking(count / ours.wall, count / bare.wall) for ours, bare in pairs)


def _singles(place: Place, producer: Producer, bare: _Bare, count: int) -> list[Figure]:
    def ours() -> Timed:
        return _timed(lambda: [producer.no_op(number) for number in range(count)], keep)

    def keep(made: list[Any]) -> None:
        place.note(producer.ids(made))

    pairs = _in_turns(place, ours, lambda: _timed(lambda: bare.inserts(count)))
    one_us = MICROSECONDS / count
    above = tuple(Taking((ours.cpu - bare.cpu) * one_us, bare.cpu * one_us) for ours, bare in pairs)
    rate_goals, cpu_goals = (_goals(count, SINGLES, goal) for goal in (at_least(0.8, Of.RATIO), at_most(120)))
    rates = _rates(pairs, count)
    name, beside = "one by one, autocommit", "INSERT by psycopg"
    return [
        Figure(measure="enqueue", name=name, unit="runs/s", takings=rates, beside=beside, goals=rate_goals),
        Figure(
            measure="enqueue", name="one by one: CPU above a bare INSERT", unit="µs", takings=above, beside=beside,
            goals=cpu_goals,
        ),
    ]  # fmt: skip


def _bulk(place: Place, producer: Producer, bare: _Bare, count: int) -> Figure:
    def ours() -> Timed:
        return _timed(lambda: producer.no_ops(count), lambda made: place.note(producer.ids(made)))

    pairs = _in_turns(place, ours, lambda: _timed(bare.copy))
    goals = _goals(count, MANY, at_least(0.6, Of.RATIO), at_least(40_000))
    name = f"enqueue_many of {count:,}"
    return Figure(measure="enqueue", name=name, unit="runs/s", takings=_rates(pairs, count), beside="COPY", goals=goals)


def _awaited(place: Place, producer: Producer, waiting: _Waiting, count: int) -> Figure:
    def bulk(waits: bool) -> Timed:
        waiting.waits(waits)
        return _timed(lambda: producer.no_ops(count), lambda made: place.note(producer.ids(made)))

    pairs = _in_turns(place, lambda: bulk(True), lambda: bulk(False))
    name, beside = f"enqueue_many of {count:,}, a worker waits", "nobody waits"
    goals = _goals(count, MANY, at_least(0.9, Of.RATIO))
    return Figure(measure="enqueue", name=name, unit="runs/s", takings=_rates(pairs, count), beside=beside, goals=goals)
