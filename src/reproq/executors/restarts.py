"""When to start again what has died: a little later each time, so that what dies at once again costs next to nothing.

Pure, but for being asked at a moment. It refuses to know what is started.
"""

import math
from typing import Final

RESTART_SECONDS: Final = 1.0
MAX_RESTART_SECONDS: Final = 30.0
HEALTHY_SECONDS: Final = 60.0
"""What has lived so long has not died of its start: the next waits as if it were the first."""


class Restarts:
    """The next start of one thing, or of several that stand for one another. Moments are CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self.due_at = math.inf
        """When to start; infinity for not at all."""
        self._deaths = 0

    def begun(self) -> None:
        """It is started now."""
        self.due_at = math.inf

    def died(self, now_s: float, lived_seconds: float = 0.0) -> float:
        """It has died, or could not be started. In how many seconds to start again: no later than was said before, if
        that is still to come."""
        if self.due_at == math.inf:
            if lived_seconds >= HEALTHY_SECONDS:
                self._deaths = 0
            self.due_at = now_s + min(RESTART_SECONDS * (1 << self._deaths), MAX_RESTART_SECONDS)
            self._deaths = min(self._deaths + 1, 10)
        return max(0.0, self.due_at - now_s)
