"""What was submitted to `fork` and has no child yet: which run is next, and how long it waits before others get it.

It refuses to know processes.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from reproq.executors.order import Order
from reproq.executors.suspects import Suspects
from reproq.lifecycle import Key

PATIENCE_SECONDS: Final = 0.2
"""A run that waits for a child is given back when all children have been on their runs for so long."""


class Waiting:
    """The orders, first come, first served, but for suspects (suspects.py), and for who waits while one is tried."""

    def __init__(self, suspects: Suspects) -> None:
        self._orders: dict[Key, Order] = {}
        self._suspects = suspects

    def __contains__(self, key: Key) -> bool:
        return key in self._orders

    def __iter__(self) -> Iterator[Key]:
        return iter(self._orders)

    def __len__(self) -> int:
        return len(self._orders)

    def add(self, order: Order) -> None:
        """One more, at the end."""
        self._orders[order.key] = order

    def remove(self, key: Key) -> bool:
        """Whether it was there."""
        return self._orders.pop(key, None) is not None

    def take(self, now_s: float, *, is_idle: bool) -> Order | None:
        """The next that may begin; it begins. `is_idle`: no run is under way."""
        if not self._suspects:
            return self._orders.pop(next(iter(self._orders))) if self._orders else None
        key, may_others = self._suspects.turn(self._orders, now_s, is_idle=is_idle)
        if key is None and may_others:
            key = next((key for key in self._orders if key not in self._suspects), None)
        if key is None:
            return None
        self._suspects.begins(key, now_s, is_idle=is_idle)
        return self._orders.pop(key)

    def due_at(self, now_s: float) -> float:
        """When one that may not begin now may, infinity for never."""
        return self._suspects.due_at(now_s) if self._orders else math.inf

    def patience_ends_at(self, starts: Sequence[float | None], hands: float) -> float:
        """When what waits had better be left to others, infinity for never; `starts` of the runs that are under way
        (None: not yet), of which there can be as many as `hands`."""
        if not self._orders or len(starts) < hands:
            return math.inf
        return max(math.inf if start is None else start for start in starts) + PATIENCE_SECONDS
