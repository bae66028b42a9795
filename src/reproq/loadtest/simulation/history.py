"""Histories, drawn from a seed: who there is, under which settings, and what happens to them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from reproq.loadtest.simulation.events import (
    Ambush,
    Arrive,
    Calm,
    Cancel,
    Crash,
    Drain,
    End,
    Enqueue,
    Event,
    Fault,
    Freeze,
    How,
    Kill,
    Outage,
    Pass,
    Retry,
    Serve,
    Start,
    Step,
    StepClock,
    Strike,
    Work,
)


@dataclass(frozen=True, slots=True)
class History:
    """`worker_ids`: one a place; two places of one id are twins, as when a machine comes back that was given up."""

    seed: int
    worker_ids: tuple[str, ...]
    queues: tuple[str, ...]
    concurrency: int
    settings: tuple[tuple[str, str], ...]
    events: tuple[Event, ...]


QUEUES: Final = ("default", "other")
REQUESTS: Final = ("ClaimRuns", "FinalizeRuns", "RenewLeases", "RescueRuns")
"""The requests that races are about."""
FAULTS: Final = tuple(Fault)
HOSTILE: Final = (
    *(
        "enable_seqscan",
        "enable_indexscan",
        "enable_indexonlyscan",
        "enable_bitmapscan",
        "enable_sort",
        "enable_nestloop",
    ),
    *("enable_material", "enable_hashjoin", "enable_mergejoin", "enable_hashagg", "enable_tidscan"),
)
"""Switches of the planner that are turned off at random."""


def draw(seed: int, steps: int) -> History:
    """The history of a seed, with this many events."""
    random = Random(f"history {seed}")  # noqa: S311 - a seed must give the same history
    workers = random.choice((2, 2, 3, 3, 4))
    twins = random.random() < 0.5
    events: list[Event] = [event for _ in range(random.randint(1, 3)) for event in _enqueue(random, workers)]
    while len(events) < steps:
        motif: Motif = random.choices(list(MOTIFS), list(MOTIFS.values()))[0]
        events.extend(motif(random, workers))
    return History(
        seed=seed,
        worker_ids=tuple(f"w{number % (workers - 1) if twins else number}" for number in range(workers)),
        queues=("*",) if random.random() < 0.2 else QUEUES,
        concurrency=random.randint(1, 3),
        settings=_settings(random),
        events=tuple(events[:steps]),
    )


def _settings(random: Random) -> tuple[tuple[str, str], ...]:
    if random.random() < 0.5:
        return ()
    switches = [(name, "off") for name in HOSTILE if random.random() < 0.3]
    return (*switches, ("plan_cache_mode", random.choice(("force_custom_plan", "force_generic_plan"))))


Motif = Callable[[Random, int], Iterator[Event]]
"""Draws a few events that tend to happen together; the number is that of the workers."""


# -- motifs: what tends to happen together ----------------------------------------------------------------------------


def _work(random: Random, workers: int) -> Iterator[Event]:
    yield Work(random.randrange(workers))


def _fine(random: Random, workers: int) -> Iterator[Event]:
    worker = random.randrange(workers)
    for _ in range(random.randint(1, 3)):
        yield Step(worker)
        yield Serve(worker, random.choice(FAULTS), random.randrange(5))


def _strike(random: Random, workers: int) -> Iterator[Event]:
    worker = random.randrange(workers)
    request = random.choice(REQUESTS)
    if request == "FinalizeRuns":
        yield End(worker, random.randrange(4), How.SUCCEEDS)
    yield Strike(request, random.choice(FAULTS[1:]), random.randrange(5))
    yield Work(worker)


def _end(random: Random, workers: int) -> Iterator[Event]:
    worker = random.randrange(workers)
    how = How.SUCCEEDS if random.random() < 0.4 else random.choice(list(How))
    yield End(worker, random.randrange(4), how)
    if random.random() < 0.5:
        yield Work(worker)


def _enqueue(random: Random, workers: int) -> Iterator[Event]:
    delay = random.choice((None, None, 0.5, 7.0, 45.0))
    yield Enqueue(random.choice(QUEUES), random.randint(-1, 1), delay, random.randint(1, 3))


def _pass(random: Random, workers: int) -> Iterator[Event]:
    yield Pass(random.choice((0.25, 1.0, 5.0, 9.0, 11.0, 29.0, 31.0)))


def _by_hand(random: Random, workers: int) -> Iterator[Event]:
    yield random.choice((Cancel, Retry))(random.randrange(8))


def _nap(random: Random, workers: int) -> Iterator[Event]:
    """A worker holds runs, sleeps past its lease, and wakes up to find them gone, or just going."""
    sleeper = random.randrange(workers)
    yield Enqueue(random.choice(QUEUES), 1, None, 3)
    yield Work(sleeper)
    yield Freeze(sleeper, 200.0)
    yield Start(random.randrange(workers))  # a twin had given up, perhaps
    waking = [Freeze(sleeper, 0.0), *_waking(random, sleeper)]
    if random.random() < 0.7:
        yield Ambush("RescueRuns", random.randint(1, 3), len(waking))
    yield Calm(random.choice((4, 5, 6, 10)))  # a twin registers when the other is stale, and only then has contact
    yield from waking


def _waking(random: Random, sleeper: int) -> Iterator[Event]:
    end = End(sleeper, random.randrange(4), How.SUCCEEDS)
    if random.random() < 0.3:  # its old run ends just after it has claimed the same run again
        yield Pass(3.0)
        yield Step(sleeper)
        for _ in range(3):
            yield Serve(sleeper, Fault.NONE)
        yield end
        yield Work(sleeper)
        return
    for _ in range(random.randint(1, 3)):
        yield random.choice((Work(sleeper), Work(sleeper), end, Step(sleeper)))


def _race(random: Random, workers: int) -> Iterator[Event]:
    """One transaction is held while another worker does what it can."""
    first, second = random.sample(range(workers), 2)
    meanwhile = random.randint(1, 3)
    yield Ambush(random.choice(REQUESTS), random.randrange(5), meanwhile)
    yield Work(first)
    for _ in range(meanwhile):
        yield random.choice((Work(second), Work(second), Step(second), Kill(first), Crash(1), Pass(31.0), Cancel(0)))


def _kill(random: Random, workers: int) -> Iterator[Event]:
    worker = random.randrange(workers)
    yield Kill(worker)
    if random.random() < 0.6:
        yield Calm(random.randint(1, 5))
    yield Start(worker)


def _amnesia(random: Random, workers: int) -> Iterator[Event]:
    """The database forgets a claim; another worker claims the same run, and the first one's comes to an end."""
    first, second = random.sample(range(workers), 2)
    if random.random() < 0.7:
        yield from _enqueue(random, workers)
    yield Work(first)
    yield Crash(random.randint(1, 3))
    yield Work(second)
    if random.random() < 0.6:
        yield End(first, random.randrange(4), random.choice((How.SUCCEEDS, How.RAISES)))
    yield Work(first)


def _outage(random: Random, workers: int) -> Iterator[Event]:
    seconds = random.choice((4.0, 15.0, 40.0, 90.0))
    yield Outage(seconds)
    yield from _end(random, workers)
    yield Work(random.randrange(workers))
    yield Pass(seconds)


def _ghost(random: Random, workers: int) -> Iterator[Event]:
    worker = random.randrange(workers)
    yield Step(worker)
    yield Serve(worker, Fault.LATE)
    for _ in range(random.randint(0, 2)):
        yield from _end(random, workers)
    yield Arrive(random.randrange(3))


def _drain(random: Random, workers: int) -> Iterator[Event]:
    worker = random.randrange(workers)
    yield Drain(worker, random.choice((0.0, 5.0)))
    yield Work(worker)
    if random.random() < 0.5:
        yield Pass(5.0)
        yield Work(worker)
    yield Start(worker)


def _clock(random: Random, workers: int) -> Iterator[Event]:
    yield StepClock(random.randrange(workers), random.choice((-86400.0, -60.0, 60.0, 3600.0)))


MOTIFS: Final[dict[Motif, float]] = {
    _work: 8,
    _fine: 3,
    _strike: 3,
    _end: 8,
    _enqueue: 2,
    _pass: 3,
    _by_hand: 1,
    _nap: 4,
    _race: 2,
    _kill: 1,
    _amnesia: 1.5,
    _outage: 0.7,
    _ghost: 1,
    _drain: 0.7,
    _clock: 0.4,
}
"""What happens, and how often."""
