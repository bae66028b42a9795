"""Children that were forked ahead and wait, each for one run, so that hardly any run waits for its fork.

It refuses to know how they are forked and how a run ends: it keeps them in stock, and gives away those that live.
"""

import time
from collections.abc import Callable, Iterator

from reproq.executors.attempt import Attempt, Phase
from reproq.lifecycle import Key

NO_RUN: Key = (0, 0)
"""The key of what is forked ahead of its run."""


class Spares:
    """`wanted` of them. `forget` is called with the number of one that ends without a run."""

    def __init__(self, wanted: int, forget: Callable[[int], None]) -> None:
        self._wanted = wanted
        self._forget = forget
        self._attempts: dict[int, Attempt] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._attempts

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._attempts.values())

    def fill(self, make: Callable[[], Attempt], fork: Callable[[Attempt], None]) -> None:
        """Have as many forked as are missing."""
        while len(self._attempts) < self._wanted:
            spare = make()
            self._attempts[spare.number] = spare
            try:
                fork(spare)
            except OSError:  # no descriptor is left: runs need them more
                self.drop(spare.number)
                return

    def take(self) -> Attempt | None:
        """One that waits, or the next that will; none that has ended while it waited."""
        for number, spare in self._attempts.items():
            if spare.phase is Phase.FORKING or (spare.process is not None and not spare.process.has_ended()):
                return self._attempts.pop(number)
        return None

    def drop(self, number: int) -> None:
        """End one. It has run nothing, so nothing descends from it."""
        spare = self._attempts.pop(number)
        self._forget(number)
        if spare.process is not None and spare.phase is not Phase.REAPING:
            spare.process.kill_leader()
        spare.finish(None, time.monotonic(), "no run came for it")

    def drop_all(self) -> None:
        """End them all."""
        for number in list(self._attempts):
            self.drop(number)
