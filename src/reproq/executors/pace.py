"""How fast runs go of late, and what follows from it: how many of them to hold ahead. Pure.

A short run is over before the next could be fetched, so several are held ready. A long one is fetched when its turn has
come: until then another worker can take it.
"""

import math
from typing import Final

LONG_SECONDS: Final = 0.05
"""A run that takes longer is long: nothing waits behind it, and nothing is fetched ahead while runs are like that."""
OVERHEAD_SECONDS: Final = 5e-5
"""What a run costs beside its task: less than that, and a task that does nothing would have any number held ahead."""
FEED_SECONDS: Final = 0.02
MAX_FED: Final = 128
"""One child holds this much work, and no more runs than that: it never waits for the worker, which looks oftener than
half of them take that do nothing (35 µs each)."""
TRIPS_AHEAD: Final = 2.0
"""A claim is asked for when one trip to the database has been worked off, and takes another."""
MAX_AHEAD: Final = 1000
_KEPT: Final = 0.95


class Pace:
    """The mean length of the last runs. One long run among short ones counts as twice the longest short one, so that
    it does not stop everything for long."""

    def __init__(self, run_seconds: float | None = None) -> None:
        self._mean_seconds = run_seconds

    def add(self, seconds: float, runs: int = 1) -> None:
        """So many runs took so long, all together."""
        bounded = min(seconds / runs, 2 * LONG_SECONDS)
        before = bounded if self._mean_seconds is None else self._mean_seconds
        self._mean_seconds = bounded + (before - bounded) * _KEPT**runs

    @property
    def fed(self) -> int:
        """How many runs one child should hold."""
        return max(1, min(MAX_FED, int(FEED_SECONDS / self._each_seconds)))

    def ahead(self, hands: int, trip_seconds: float) -> int:
        """How many runs to hold beyond those that run, when `hands` work and the database takes `trip_seconds`."""
        if self._each_seconds >= LONG_SECONDS:
            return 0
        return min(MAX_AHEAD, math.ceil(TRIPS_AHEAD * hands * trip_seconds / self._each_seconds))

    @property
    def _each_seconds(self) -> float:
        return math.inf if self._mean_seconds is None else self._mean_seconds + OVERHEAD_SECONDS
