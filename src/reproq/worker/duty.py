"""A duty of the loop: something it asks of the store again and again."""

from dataclasses import dataclass


@dataclass(slots=True)
class Duty:
    """Something asked of the store again and again: when it is next due, and whether its answer is still to come."""

    next_s: float = 0.0
    asked_s: float | None = None

    def is_due(self, now: float) -> bool:
        return self.asked_s is None and now >= self.next_s
