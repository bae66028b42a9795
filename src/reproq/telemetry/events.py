"""Events: what happened, once, with its fields. Measures: how long it took, a batch at a time. Who emits them knows
nothing of who listens.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

Field = str | int | float | bool | None


class Event(NamedTuple):
    """One thing that happened: a dotted name, and its fields in the order in which they read well."""

    name: str
    fields: Mapping[str, Field]


class Measure(StrEnum):
    """What is measured, in seconds."""

    CLAIM = "claim"  # one claim that found runs: its transaction
    QUEUE_WAIT = "queue_wait"  # from the moment a run was due to the start of its task
    SCHEDULE_LAG = "schedule_lag"  # from the moment at which a tick was due to the enqueue of its run
    EXECUTION = "execution"  # from the start of a task to its end


Handler = Callable[[Event], None]
Meter = Callable[[Measure, list[float]], None]


class Telemetry:
    """Hands every event to every handler, and every batch of durations to every meter.

    Nobody wants to hear of what is in `unheard`: it costs next to nothing then. With `gathers`, who emits says `flush`
    before it waits: a handler that has a `flush` may keep until then what is cheaper for many events at once.
    """

    def __init__(
        self,
        handlers: Sequence[Handler] = (),
        meters: Sequence[Meter] = (),
        unheard: frozenset[str] = frozenset(),
        *,
        gathers: bool = False,
    ) -> None:
        self._handlers = tuple(handlers)
        self._unheard = unheard
        self._meters = tuple(meters)
        self._gathers = gathers
        self._flushes: list[Callable[[], None]] = [handler.flush for handler in handlers if hasattr(handler, "flush")]

    @property
    def measures(self) -> bool:
        """Whether anybody listens to durations; else they need not be gathered."""
        return bool(self._meters)

    def is_heard(self, name: str) -> bool:
        """Whether an event of this name reaches anybody; else its fields need not be gathered."""
        return name not in self._unheard

    def flush(self) -> None:
        """Have handlers pass on what they keep."""
        for flush in self._flushes:
            flush()

    def emit(self, name: str, **fields: Field) -> None:
        """Emit one event."""
        if name in self._unheard:
            return
        event = Event(name, fields)
        for handler in self._handlers:
            handler(event)
        if not self._gathers:
            self.flush()

    def measure(self, measure: Measure, seconds: list[float]) -> None:
        """Tell how long each of a batch took."""
        for meter in self._meters:
            meter(measure, seconds)
