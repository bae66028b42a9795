"""Virtual time. The database's clock moves on with the world; a host's monotonic clock moves with it, and its wall
clock may be stepped by anybody."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

BEGINNING: Final = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Clock:
    """The time of the database, in seconds since the beginning of the history."""

    seconds: float = 0.0

    def now(self) -> datetime:
        """The moment that a transaction which begins now sees."""
        return BEGINNING + timedelta(seconds=self.seconds)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass(slots=True)
class HostClock:
    """What one host takes for the time: it booted at some moment, and its wall clock is wrong by `error_seconds`."""

    clock: Clock
    booted_seconds: float
    error_seconds: float = field(default=0.0)

    def monotonic(self) -> float:
        return self.clock.seconds + self.booted_seconds

    def wall(self) -> float:
        return self.clock.now().timestamp() + self.error_seconds

    @contextmanager
    def told(self) -> Iterator[None]:
        """Whoever asks the module `time` in here is told this host's time: also code that should not have asked."""
        before = time.monotonic, time.time
        time.monotonic, time.time = self.monotonic, self.wall
        try:
            yield
        finally:
            time.monotonic, time.time = before
