"""Retention, as a duty of the loop: which rule's walk is next, how long to rest between two steps, when to look again.

A step takes milliseconds of the lane that keeps and ends runs, and is followed by a rest of nine times as long: pruning
takes a tenth of that lane's time, and nothing of the one that claims. It refuses to know what a step deletes.
"""

from collections.abc import Callable, Iterator
from typing import Final

from reproq.config import Config
from reproq.retention import rules
from reproq.store.requests import Request
from reproq.store.retention import BATCH, START, Position, PruneAnswer, PruneRuns
from reproq.telemetry.events import Telemetry
from reproq.worker.duty import Duty

REST_FACTOR: Final = 9.0
FROM_THE_START_SECONDS: Final = 86_400.0
"""How long a walk is gone on with; what it passed by because somebody held it is found by the next."""
REFUSED_SECONDS: Final = 3600.0


class Pruning:
    """Moments are CLOCK_MONOTONIC. Draws keep many workers from looking at once."""

    def __init__(self, config: Config, telemetry: Telemetry, draw_fraction: Callable[[], float], now: float) -> None:
        self._backend = config.backend
        self._rules = rules(config.retention)
        self._telemetry = telemetry
        self._draw_fraction = draw_fraction
        self._interval_seconds = config.prune_interval
        self._duty = Duty(next_s=now + self._interval_seconds * draw_fraction())
        self._positions: list[Position] = []
        self._from_start_s = float("-inf")
        self._current = 0
        self._deleted = 0

    def moments(self) -> Iterator[float]:
        """When `requests` next has something to ask."""
        if self._rules and self._duty.asked_s is None:
            yield self._duty.next_s

    def requests(self, now: float) -> Iterator[Request]:
        """The next step, when it is due."""
        if not self._rules or not self._duty.is_due(now):
            return
        self._duty.ask(now, float("inf"))
        if self._current == 0 and now - self._from_start_s >= FROM_THE_START_SECONDS:
            self._from_start_s = now
            self._positions = [START] * len(self._rules)
        yield PruneRuns(self._backend, self._rules[self._current], self._positions[self._current])

    def on_pruned(self, answer: PruneAnswer, now: float) -> None:
        """A full look means that there is more: go on after a rest. Else it is the next rule's turn."""
        self._duty.asked_s = None
        if answer.refusal:
            self._telemetry.emit("prune.refused", reason=answer.refusal, next="trying again in an hour")
            self._duty.next_s = now + REFUSED_SECONDS
            return
        self._positions[self._current] = answer.position
        self._deleted += answer.deleted
        self._duty.next_s = now + REST_FACTOR * answer.took_seconds
        if answer.looked >= BATCH:
            return
        self._current = (self._current + 1) % len(self._rules) if answer.is_ours else 0
        if self._current == 0:
            self._end_round(now)

    def _end_round(self, now: float) -> None:
        self._duty.next_s = now + self._interval_seconds * (0.5 + self._draw_fraction())
        if self._deleted:
            self._telemetry.emit("runs.pruned", runs=self._deleted)
            self._deleted = 0
