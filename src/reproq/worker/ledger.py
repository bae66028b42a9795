"""What the worker holds: runs that run, and ends that wait to be stored. Both keep their leases until then."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from itertools import islice, takewhile
from typing import Final

from reproq.executors import Ended
from reproq.lifecycle import Key, Outcome, Release, decide
from reproq.output import NOTHING, Output
from reproq.store.claims import Claimed
from reproq.store.finalising import Finalisation

MAX_ENDING: Final = 2000
MAX_ENDING_BYTES: Final = 64 * 1024 * 1024
AGAIN_SECONDS: Final = 1.0
"""After which an end is tried again that was held up."""


class Ledger:
    """The claims of one worker, by `(run_id, token)`."""

    def __init__(self, max_releases: int) -> None:
        self.running: dict[Key, Claimed] = {}
        self.ending: dict[Key, Finalisation] = {}
        self._storing: tuple[Finalisation, ...] = ()
        self._held_up: dict[Key, float] = {}  # those that end whose rows somebody holds: when to try each again
        self._ending_size = 0
        self._lost: set[Key] = set()
        self._max_releases = max_releases

    @property
    def held(self) -> tuple[Key, ...]:
        """Every claim whose lease must be renewed."""
        return (*self.running, *self.ending)

    @property
    def unstored(self) -> int:
        """How many claims the database still sees as ours."""
        return len(self.running) + len(self.ending)

    @property
    def held_up(self) -> int:
        """How many ends wait until somebody lets go of the rows of their runs."""
        return len(self._held_up)

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be stored that nothing more may be claimed: no outage can fill the memory."""
        return len(self.ending) >= MAX_ENDING or self._ending_size >= MAX_ENDING_BYTES

    def task_of(self, key: Key) -> str | None:
        """The task of a claim that is held."""
        if (claimed := self.running.get(key)) is not None:
            return claimed.payload.task_path
        item = self.ending.get(key)
        return item and item.task_path

    def start(self, claimed: Claimed) -> Key:
        """A claimed run begins."""
        key = claimed.claim.key
        self.running[key] = claimed
        return key

    def end(self, ended: Ended) -> bool:
        """An attempt ended: what becomes of it waits to be stored. False when its claim had been lost before.

        Whoever stops a run need not know whether its task had begun: one that had not, released or cancelled, has made
        no attempt.
        """
        if ended.key in self._lost:
            self._lost.discard(ended.key)
            return False
        outcome = ended.outcome
        if isinstance(outcome, Release) and ended.started_s is None:
            outcome = replace(outcome, started=False)
        self.settle(self.running.pop(ended.key), outcome, ended.started_s, ended.ended_s, ended.output)
        return True

    def settle(
        self,
        claimed: Claimed,
        outcome: Outcome,
        started_s: float | None = None,
        ended_s: float | None = None,
        output: Output = NOTHING,
    ) -> None:
        """Decide what becomes of a claim, and keep it until it is stored."""
        claim = claimed.claim
        verdict = decide(claim, outcome, max_releases=self._max_releases, began=started_s is not None)
        task_path = claimed.payload.task_path
        item = Finalisation(claim.run_id, claim.token, verdict, started_s, ended_s, claim.attempt, output, task_path)
        self.ending[item.key] = item
        self._ending_size += item.size

    def begin_storing(self, most: int, now: float) -> tuple[tuple[Finalisation, ...], bool]:
        """The next ends to store, `most` at once, and whether they were held up; none while others are on their way.

        Those that were held up come when it is time to try them again: first, and by themselves, since they may be so
        still."""
        if self._storing or not self.ending:
            return (), False
        due = takewhile(lambda key: self._held_up[key] <= now, self._held_up)
        again = tuple(self.ending[key] for key in islice(due, most))
        new = (item for key, item in self.ending.items() if key not in self._held_up)
        self._storing = again or tuple(islice(new, most))
        return self._storing, bool(again)

    def moments(self) -> Iterator[float]:
        """When an end that was held up is next to be tried again."""
        if not self._storing:
            yield from islice(self._held_up.values(), 1)

    @property
    def waiting(self) -> list[Finalisation]:
        """The ends that are not even on their way."""
        under_way = {item.key for item in self._storing}
        return [item for key, item in self.ending.items() if key not in under_way]

    def stored(self, batch: Iterable[Finalisation], held_up: Set[Key], now: float) -> None:
        """The database knows these ends, or that their claims are no longer ours, but for those that are held up."""
        self._storing = ()
        for item in batch:
            self._held_up.pop(item.key, None)
            if item.key in held_up:
                self._held_up[item.key] = now + AGAIN_SECONDS
            elif self.ending.pop(item.key, None) is not None:
                self._ending_size -= item.size

    def lose(self, key: Key) -> None:
        """The claim has passed to another: whatever its child still answers is discarded."""
        del self.running[key]
        self._lost.add(key)
