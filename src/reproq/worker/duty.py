"""A duty of the loop: something it asks of the store again and again."""

from dataclasses import dataclass


@dataclass(slots=True)
class Duty:
    """When it is next due, and since when its answer has been awaited (None: it is not)."""

    next_s: float = 0.0
    asked_s: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether to ask now: it is time, and no answer is awaited."""
        return self.asked_s is None and now >= self.next_s

    def ask(self, now: float, every_seconds: float) -> None:
        """It is asked now, and due again after `every_seconds`."""
        self.asked_s = now
        self.next_s = now + every_seconds
