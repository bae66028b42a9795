"""What hits when: pure, so that a seed is a schedule. How a fault is made is not known here."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LEASE_SECONDS: Final = 2.0
STEADY: Final = 0
"""The worker that is never killed nor replaced: its memory tells of the whole round."""
PACKERS: Final = (0, 1, 2)
"""Workers that end many runs, so that an answer that is to be lost comes soon."""
WORKERS: Final = 4


class Blow(StrEnum):
    """A fault, as the tables of the report call it."""

    KILL_WORKER = "kill -9 of a worker"
    PAUSE_WORKER = "SIGSTOP longer than a lease"
    REPLACE_WORKER = "TERM, and another worker"
    CUT = "connections cut"
    SILENCE = "connections half-open"
    DELAY = "messages delayed"
    LOSE_CLAIM = "answer lost: claim"
    LOSE_FINALIZE = "answer lost: finalise"
    LOSE_ENQUEUE = "answer lost: enqueue"
    TERMINATE = "pg_terminate_backend"
    RESTART_FAST = "restart, fast"
    RESTART_IMMEDIATE = "restart, immediate"
    KILL_BACKEND = "kill -9 of a server process"


IN_FIVE_MINUTES: Final[dict[Blow, int]] = {
    Blow.KILL_WORKER: 36,
    Blow.PAUSE_WORKER: 8,
    Blow.REPLACE_WORKER: 6,
    Blow.CUT: 10,
    Blow.SILENCE: 8,
    Blow.DELAY: 6,
    Blow.LOSE_CLAIM: 6,
    Blow.LOSE_FINALIZE: 8,
    Blow.LOSE_ENQUEUE: 6,
    Blow.TERMINATE: 8,
    Blow.RESTART_FAST: 3,
    Blow.RESTART_IMMEDIATE: 3,
    Blow.KILL_BACKEND: 2,
}
LONG_SECONDS: Final = 300.0
QUIET_START: Final = 0.02
"""This share of a round passes before the first fault, so that there is something to hit."""

_LASTS: Final[dict[Blow, tuple[float, float]]] = {
    Blow.PAUSE_WORKER: (LEASE_SECONDS + 1.0, LEASE_SECONDS + 4.0),
    Blow.SILENCE: (1.5, LEASE_SECONDS + 1.0),
    Blow.DELAY: (1.5, 3.0),
    Blow.RESTART_FAST: (0.1, 1.5),
    Blow.RESTART_IMMEDIATE: (0.1, 1.5),
}
_SPARE_THE_STEADY: Final = {Blow.KILL_WORKER, Blow.REPLACE_WORKER}
_NEED_A_PACKER: Final = {Blow.LOSE_CLAIM, Blow.LOSE_FINALIZE}


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """One fault: when, what, to which worker (where it is one's), and for how long (where it lasts)."""

    at_s: float
    blow: Blow
    worker: int
    seconds: float

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at_s:6.1f} s  {self.blow}, worker {self.worker}{lasts}"


@dataclass(frozen=True, slots=True)
class Minimum:
    """What must really have happened, or the round shows nothing."""

    rescues: int
    lost_answers: int
    restarts: int


def counts(seconds: float) -> dict[Blow, int]:
    """How many of each a round of this length has: each at least once, what rescues come of a little oftener."""
    share = seconds / LONG_SECONDS
    least = {Blow.KILL_WORKER: 3}
    return {blow: max(least.get(blow, 1), round(number * share)) for blow, number in IN_FIVE_MINUTES.items()}


def minimum(seconds: float) -> Minimum:
    """20 rescues, 5 lost answers and 3 restarts in five minutes; less in less, but 2 of each."""
    share = seconds / LONG_SECONDS
    return Minimum(*(max(2, round(number * share)) for number in (20, 5, 3)))


def plan(seed: int, seconds: float) -> list[Event]:
    """The schedule of this seed: the faults in an order that it draws, one in each of as many equal spans of time."""
    rng = random.Random(seed)
    deck = [blow for blow, number in counts(seconds).items() for _ in range(number)]
    rng.shuffle(deck)
    span = seconds * (1 - QUIET_START) / len(deck)
    return [
        _event(rng, blow, seconds * QUIET_START + (place + rng.random() * 0.8) * span)
        for place, blow in enumerate(deck)
    ]


def _event(rng: random.Random, blow: Blow, at_s: float) -> Event:
    choice: tuple[int, ...] = tuple(range(WORKERS))
    if blow in _SPARE_THE_STEADY:
        choice = tuple(worker for worker in choice if worker != STEADY)
    elif blow in _NEED_A_PACKER:
        choice = PACKERS
    lasts = round(rng.uniform(*_LASTS[blow]), 2) if blow in _LASTS else 0.0
    return Event(round(at_s, 2), blow, rng.choice(choice), lasts)
