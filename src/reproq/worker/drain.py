"""The end of a worker: until when its runs may go on, when they are asked to end, and when it stops trying to store.

Nothing outlasts the drain timeout by more than the time to store the last ends: with the default of 25 seconds the
worker is gone within the 30 that Kubernetes and others give.
"""

from typing import Final

GIVE_UP_SECONDS: Final = 4.0
"""How long the last ends are still tried to be stored when the database is away."""
GRACE_SHARE: Final = 0.2
"""How much of the drain timeout is at most left between TERM and KILL."""


class Drain:
    """Moments are CLOCK_MONOTONIC. Begun again, it can only end sooner."""

    def __init__(self, kill_grace_seconds: float) -> None:
        self._kill_grace_seconds = kill_grace_seconds
        self._deadline: float | None = None
        self._ask_to_end_s: float | None = None

    @property
    def under_way(self) -> bool:
        """Whether it has begun: nothing more is claimed or started."""
        return self._deadline is not None

    def begin(self, now: float, patience_seconds: float) -> None:
        """What runs has `patience_seconds` to end: TERM comes a little before, KILL then."""
        deadline = now + patience_seconds
        if self._deadline is None or deadline < self._deadline:
            self._deadline = deadline
            self._ask_to_end_s = deadline - min(self._kill_grace_seconds, patience_seconds * GRACE_SHARE)

    def moment(self) -> float | None:
        """When there is next something to do; None while no drain is under way."""
        if self._deadline is None:
            return None
        return self._deadline + GIVE_UP_SECONDS if self._ask_to_end_s is None else self._ask_to_end_s

    def grace_seconds(self, now: float) -> float | None:
        """The grace of what still runs, once it is to be asked to end; None before and afterwards."""
        if self._deadline is None or self._ask_to_end_s is None or now < self._ask_to_end_s:
            return None
        self._ask_to_end_s = None
        return max(0.0, self._deadline - now)

    def gives_up(self, now: float) -> bool:
        """Whether even the storing of the last ends has taken too long."""
        return self._deadline is not None and now > self._deadline + GIVE_UP_SECONDS
