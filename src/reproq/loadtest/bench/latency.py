"""`reproq bench latency`: how soon an idle worker is at the first line of a task, beside a bare INSERT and its commit.

A latency counts from before the call of enqueue, from the COMMIT of a transaction that was open for a while, or from
when a run falls due, to the first line; both ends read CLOCK_MONOTONIC, which all processes of a machine share.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from reproq.loadtest.bench.figures import Figure, Goal, Taking, at_most, percentile, too_few
from reproq.loadtest.bench.place import BenchFailed, Place, ask, sql
from reproq.loadtest.bench.processes import LOOK_SECONDS, workers
from reproq.loadtest.bench.producer import Producer
from reproq.store.arrays import numbers
from reproq.store.db import opened

SPACING_SECONDS: Final = 0.05
BARE_AFTER_SECONDS: Final = 0.03
OPEN_SECONDS: Final = 0.2
DUE_SECONDS: Final = 0.3
WARM_UP: Final = 10
SAMPLES: Final = 200
END_SECONDS: Final = 60.0
MILLISECONDS: Final = 1000.0
EXECUTORS: Final = ("pool", "fork")
GOALS: Final[dict[tuple[str, str, str], Goal]] = {
    ("pool", "enqueue", "p50"): at_most(3),
    ("pool", "enqueue", "p99"): at_most(6),
    ("fork", "enqueue", "p50"): at_most(5),
    ("fork", "enqueue", "p99"): at_most(12),
    ("pool", "COMMIT after 200 ms", "p99"): at_most(12),
    ("pool", "due time", "p99"): at_most(50),
    ("fork", "due time", "p99"): at_most(50),
}

type Made = tuple[float, Any]
"""A moment from which a latency counts, and the result of the run."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to enqueue, every `spacing_seconds`; `share` of the samples are taken of it."""

    name: str
    make: Callable[[Producer], Made]
    spacing_seconds: float
    share: float


def at_once(producer: Producer) -> Made:
    """One enqueue in autocommit, its commit included."""
    began = time.monotonic()
    return began, producer.first_line()


def in_a_transaction(producer: Producer) -> Made:
    """One enqueue in a transaction that stays open; the COMMIT counts."""
    with producer.transaction():
        result = producer.first_line()
        time.sleep(OPEN_SECONDS)
        began = time.monotonic()
    return began, result


def later(producer: Producer) -> Made:
    """One run that is due a little later; its due time counts."""
    now = time.monotonic()
    return now + DUE_SECONDS, producer.first_line(DUE_SECONDS)


WAYS: Final = (
    Way("enqueue", at_once, SPACING_SECONDS, 1.0),
    Way("COMMIT after 200 ms", in_a_transaction, 0.0, 0.25),
    Way("due time", later, SPACING_SECONDS, 0.5),
)


def measure(place: Place, producer: Producer, executors: Sequence[str], samples: int) -> list[Figure]:
    """Every way under every executor. Raises ConfigurationError where others' runs wait in the producer's queue."""
    place.refuse_waiting(producer.queue)
    figures: list[Figure] = []
    try:
        for executor in executors:
            every = f"one every {SPACING_SECONDS * MILLISECONDS:g} ms"
            place.say(f"latency: {executor}, {samples:,} runs, {every}{too_few(samples, SAMPLES)}")
            with ExitStack() as stack:
                stack.enter_context(workers(place, 1, executor, None, producer.queue))
                insert = _bare_insert(place, stack, producer)
                _latencies(place, producer, WAYS[0], WARM_UP, insert)
                for way in WAYS:
                    figures += _figures(place, producer, executor, way, samples, insert)
    finally:
        place.clear()
    return figures


def goals_of(key: tuple[str, str, str], samples: int) -> tuple[Goal, ...]:
    """What a latency is judged by; nothing where few samples were taken, whose percentiles are single runs."""
    return (GOALS[key],) if key in GOALS and samples >= SAMPLES else ()


def _figures(
    place: Place, producer: Producer, executor: str, way: Way, samples: int, insert: Callable[[], float]
) -> list[Figure]:
    taken = [_latencies(place, producer, way, max(2, int(samples * way.share)), insert) for _ in range(place.times)]
    return [
        Figure(
            measure="latency",
            name=f"{executor}, {way.name}, {label}",
            unit="ms",
            takings=tuple(Taking(percentile(ours, share), percentile(bare, 0.5)) for ours, bare in taken),
            beside="INSERT by psycopg, p50",
            goals=goals_of((executor, way.name, label), samples),
        )
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ]


def _bare_insert(place: Place, stack: ExitStack, producer: Producer) -> Callable[[], float]:
    """Inserts one row and commits, into our own queue, which nobody serves; the milliseconds that took."""
    ids = place.note(producer.ids(producer.no_ops(1)))
    row = ask(place.database, "written", {"queue": place.queue, "ids": numbers(ids)})[0]
    cursor = stack.enter_context(opened(place.config.dsn, "reproq bench bare")).connected().cursor()

    def insert() -> float:
        began = time.monotonic()
        cursor.execute(sql("insert"), row).fetchone()
        return (time.monotonic() - began) * MILLISECONDS

    return insert


def _latencies(
    place: Place, producer: Producer, way: Way, samples: int, insert: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Milliseconds to the first lines, and of bare inserts made in the pauses between; both sorted."""
    moments, bare = {}, []
    for _ in range(samples):
        place.go_on()
        began = time.monotonic()
        moment, result = way.make(producer)
        (run_id,) = place.note(producer.ids([result]))  # at once: whatever fails from here on, the run is deleted
        moments[run_id] = moment
        time.sleep(max(0.0, began + min(way.spacing_seconds, BARE_AFTER_SECONDS) - time.monotonic()))
        bare.append(insert())
        time.sleep(max(0.0, began + way.spacing_seconds - time.monotonic()))
    returned = _returned(place, list(moments))
    first_lines = (returned[run_id] - moment for run_id, moment in moments.items())
    return sorted(seconds * MILLISECONDS for seconds in first_lines), sorted(bare)


def _returned(place: Place, ids: Sequence[int]) -> dict[int, float]:
    """What the runs have returned, once all have. Raises BenchFailed when one has not after a while."""
    deadline = time.monotonic() + END_SECONDS
    while len(returned := dict(ask(place.database, "returned", {"ids": numbers(ids)}))) < len(ids):
        place.go_on()
        if time.monotonic() > deadline:
            faults = ask(place.database, "last_faults", {"ids": numbers(ids)})
            raise BenchFailed(
                f"{len(returned)} of {len(ids)} runs succeeded, so there is no figure; of the others: {faults}"
            )
        time.sleep(LOOK_SECONDS)
    return returned
