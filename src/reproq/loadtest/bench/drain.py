"""`reproq bench drain`: how fast real workers empty a queue, between two ceilings, and what 1,000 runs cost.

The runs become visible by one commit while the workers wait. The time counts from there to the moment at which the
last end is stored, by the database's clock. Then every run must have succeeded, and `reproq verify` must be clean.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import batched, islice
from statistics import mean
from typing import Any, Final

import psycopg

from reproq.loadtest.bench import watch
from reproq.loadtest.bench.ceiling import measure as measure_ceiling
from reproq.loadtest.bench.costs import Meter
from reproq.loadtest.bench.figures import Costs, Figure, Goal, Of, Taking, at_least, at_most, too_few
from reproq.loadtest.bench.place import BenchFailed, Place, ask
from reproq.loadtest.bench.processes import LOOK_SECONDS, WorkerProcess, workers
from reproq.loadtest.made_up import Shape, made_up
from reproq.store.runs import enqueue_many, wake

NO_OP: Final = "reproq_django.noop.do_nothing"
FILL_BATCH: Final = 1000
FEWEST_OF_A_CEILING: Final = 5_000
MOST_OF_A_CEILING: Final = 50_000
LONGEST_SECONDS: Final = 3600.0
CONCURRENCY: Final = {"mock": 500, "pool": 2, "fork": 2, "spawn": 2}
RUNS: Final = {"mock": 50_000, "pool": 50_000, "fork": 3_000, "spawn": 60}
MOST_RSS_MIB: Final = 120.0


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of drain. `payload` is the number of characters in each run's arguments."""

    executor: str
    workers: int
    payload: int
    runs: int

    @property
    def name(self) -> str:
        size = f"{self.payload:,} B" if self.payload < 1000 else f"{self.payload / 1000:g} kB"
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        return f"{self.executor}, {workers}, {self.runs:,} runs of {size}"

    @property
    def is_short(self) -> bool:
        """Whether it is over before a worker is at its full speed, so that it proves nothing about a goal."""
        return self.runs < RUNS[self.executor]


GOALS: Final[dict[tuple[str, int, int], tuple[Goal, ...]]] = {
    ("mock", 1, 100): (at_least(0.75, Of.RATIO), at_least(30_000)),
    ("pool", 1, 100): (at_least(0.55, Of.RATIO), at_least(20_000)),
    ("fork", 1, 100): (at_least(300),),
}


def usual_cases(runs: int | None) -> list[Case]:
    """What is drained when nobody says otherwise."""
    kinds = [("mock", 1, 100), ("mock", 4, 100), ("pool", 1, 100), ("pool", 1, 1000), ("pool", 1, 8000)]
    kinds += [("fork", 1, 100), ("spawn", 1, 100)]
    return [Case(executor, count, payload, runs or RUNS[executor]) for executor, count, payload in kinds]


def goals_of(case: Case) -> tuple[Goal, ...]:
    """What its rate is judged by; nothing where it is short."""
    return () if case.is_short else GOALS.get((case.executor, case.workers, case.payload), ())


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen while a queue was emptied: deadlocks, and the memory of the largest worker early and at the end."""

    deadlocks: int
    early_mib: float
    last_mib: float


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain: its taking, the smallest share that a worker had of it, and what else was seen."""

    taking: Taking
    least_share: float
    seen: Seen


def measure(place: Place, cases: Sequence[Case]) -> list[Figure]:
    """Every case `times` times. Raises BenchFailed and NotClean."""
    figures: list[Figure] = []
    for case in cases:
        place.say(f"drain: {case.name}{too_few(case.runs, RUNS[case.executor])}")
        drained = [drain(place, case) for _ in range(place.times)]
        figures += _figures(case, drained)
    by_name = {figure.name: figure for figure in figures}
    for case in cases:
        alone = by_name.get(Case(case.executor, 1, case.payload, case.runs).name)
        if case.workers > 1 and alone is not None:
            figures.append(_against_one(case, by_name[case.name], alone))
    return figures


def _figures(case: Case, drained: Sequence[Drained]) -> Iterator[Figure]:
    takings = tuple(one.taking for one in drained)
    yield Figure(
        measure="drain", name=case.name, unit="runs/s", takings=takings, beside="ceiling", goals=goals_of(case)
    )
    memory = tuple(Taking(one.seen.last_mib, one.seen.early_mib) for one in drained)
    kept = (at_most(MOST_RSS_MIB),)
    name = f"{case.name}: memory of a worker at the end"
    yield Figure(measure="drain", name=name, unit="MiB", takings=memory, beside="after a tenth of the runs", goals=kept)
    if case.workers > 1:
        shares = tuple(Taking(100 * one.least_share, 100 / case.workers) for one in drained)
        name, fair = f"{case.name}: least share of a worker", "an equal share"
        goals = () if case.is_short else (at_least(15),)
        yield Figure(measure="drain", name=name, unit="%", takings=shares, beside=fair, goals=goals)
        deadlocks = tuple(Taking(float(one.seen.deadlocks)) for one in drained)
        yield Figure(measure="drain", name=f"{case.name}: deadlocks", unit="", takings=deadlocks, goals=(at_most(0),))


def _against_one(case: Case, together: Figure, alone: Figure) -> Figure:
    """All workers against one, each as a share of its own ceilings: they were not taken at the same moment."""
    pairs = zip(
        sorted(together.takings, key=lambda one: one.rank), sorted(alone.takings, key=lambda one: one.rank), strict=True
    )
    takings = tuple(Taking(many.rank, one.rank) for many, one in pairs)
    name = f"{case.name}: all together"
    return Figure(
        measure="drain",
        name=name,
        unit="of ceiling",
        takings=takings,
        beside="one worker",
        goals=() if case.is_short else (at_least(0.9, Of.RATIO),),
    )


def drain(place: Place, case: Case) -> Drained:
    """One drain between two ceilings; afterwards what it wrote is deleted."""
    reference = max(FEWEST_OF_A_CEILING, min(case.runs, MOST_OF_A_CEILING))
    try:
        first_bar = ceiling(place, reference)
        rate, costs, seen = _emptied(place, case)
        shares = _ends(place, case)
        place.verify()
        bars = [first_bar, ceiling(place, reference)]
    finally:
        place.clear()
    shared = min(shares.values()) / case.runs if len(shares) >= case.workers else 0.0
    return Drained(Taking(rate, mean(bars), costs), shared, seen)


def ceiling(place: Place, runs: int) -> float:
    """Runs a second of the frozen reference. Raises BenchFailed where its schema is in the way."""
    place.go_on()
    try:
        return measure_ceiling(place.config.dsn, runs)
    except psycopg.errors.InsufficientPrivilege as error:
        raise BenchFailed(f"the ceiling needs a schema of its own, and may not make one: {error}") from error
    except psycopg.errors.DuplicateSchema as error:
        raise BenchFailed(
            "the schema reproq_ceiling is there already: another bench is at work, or one was killed; if none is, say "
            "DROP SCHEMA reproq_ceiling CASCADE"
        ) from error


def _emptied(place: Place, case: Case) -> tuple[float, Costs, Seen]:
    """Runs a second, what 1,000 of them cost, and what was seen meanwhile."""
    with workers(place, case.workers, case.executor, CONCURRENCY[case.executor], place.queue) as started:
        last_id = _fill(place, case)
        meter = Meter(place, [worker.pid for worker in started])
        with place.database.transaction() as cursor:
            wake(cursor, [place.queue])
        ended_s, asked, early_mib = _wait_for_the_last(place, case, started, last_id)
        meter.stop()
        last_mib = max(watch.resident_mib(worker.pid) for worker in started)
    costs, deadlocks = meter.read(case.runs, asked)
    return case.runs / (ended_s - meter.began_s), costs, Seen(deadlocks, early_mib, last_mib)


def _fill(place: Place, case: Case) -> int:
    """The runs, all visible by one commit, with statistics as a table in use has them; the id of the last."""
    shape = Shape(
        task_path=NO_OP, seed=1, queues=(place.queue,), priorities=(0,), later_percent=0.0, payload_size=case.payload,
        backend=place.config.backend,
    )  # fmt: skip
    last_id = 0
    with place.database.transaction() as cursor:
        for batch in batched(islice(made_up(shape), case.runs), FILL_BATCH):
            place.go_on()
            last_id = enqueue_many(cursor, batch)[-1].run_id
        cursor.execute("ANALYZE task_runs")
    return last_id


def _wait_for_the_last(
    place: Place, case: Case, started: Sequence[WorkerProcess], last_id: int
) -> tuple[float, int, float]:
    """When all had ended by the database's clock, how often it was asked for that, and a worker's memory early on.

    First a run after a tenth of them and the last one are asked for by their keys, which costs the server next to
    nothing; then the whole queue.
    """
    early_mib, asked = 0.0, 1  # the wake-up
    deadline = time.monotonic() + LONGEST_SECONDS
    for run_id in (last_id - case.runs * 9 // 10, last_id):
        asked += 1
        while ask(place.database, "is_finished", {"run_id": run_id}) != [(True,)]:
            asked += 1
            _go_on(place, started, deadline)
            time.sleep(LOOK_SECONDS / 2)
        early_mib = early_mib or max(watch.resident_mib(worker.pid) for worker in started)
    while True:
        asked += 1
        ((left, moment_s),) = ask(place.database, "waiting", {"queue": place.queue})
        if not left:
            return moment_s, asked, early_mib
        _go_on(place, started, deadline)


def _go_on(place: Place, started: Sequence[WorkerProcess], deadline: float) -> None:
    place.go_on()
    for worker in started:
        worker.check()
    if time.monotonic() > deadline:
        raise BenchFailed(f"the runs have not ended after {LONGEST_SECONDS:g} s: {_ends_in_words(place)}")


def _ends(place: Place, case: Case) -> Counter[str]:
    """How many runs each worker ended. Raises BenchFailed unless every run has succeeded."""
    rows: list[tuple[Any, ...]] = ask(place.database, "ends", {"queue": place.queue})
    shares: Counter[str] = Counter()
    for status, worker_id, count in rows:
        if status == "SUCCESSFUL":
            shares[worker_id] += count
    if shares.total() != case.runs:
        raise BenchFailed(
            f"{shares.total()} of {case.runs} runs succeeded, so there is no figure: {_ends_in_words(place)}"
        )
    return shares


def _ends_in_words(place: Place) -> str:
    rows = ask(place.database, "ends", {"queue": place.queue})
    return (
        ", ".join(f"{count} {status} by {worker_id or 'nobody'}" for status, worker_id, count in rows)
        or "none is there"
    )
