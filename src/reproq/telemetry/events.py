"""Events: what happened, once, with its fields. Measures: how long it took, a batch at a time. Who emits them knows
nothing of who listens.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

Field = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: a dotted name, and its fields in the order in which they read well."""

    name: str
    fields: Mapping[str, Field]


class Measure(StrEnum):
    """What is measured, in seconds."""

    CLAIM = "claim"  # one claim that found runs: its transaction
    QUEUE_WAIT = "queue_wait"  # from the moment a run was due to the start of its task
    EXECUTION = "execution"  # from the start of a task to its end


Handler = Callable[[Event], None]
Meter = Callable[[Measure, list[float]], None]


class Telemetry:
    """Hands every event to every handler, and every batch of durations to every meter.

    Nobody wants to hear of what is in `unheard`: it costs next to nothing then.
    """

    def __init__(
        self,
        handlers: Sequence[Handler] = (),
        meters: Sequence[Meter] = (),
        unheard: frozenset[str] = frozenset(),
    ) -> None:
        self._handlers = tuple(handlers)
        self._unheard = unheard
        self._meters = tuple(meters)

    @property
    def measures(self) -> bool:
        """Whether anybody listens to durations; else they need not be gathered."""
        return bool(self._meters)

    def emit(self, name: str, **fields: Field) -> None:
        """Emit one event."""
        if name in self._unheard:
            return
        event = Event(name, fields)
        for handler in self._handlers:
            handler(event)

    def measure(self, measure: Measure, seconds: list[float]) -> None:
        """Tell how long each of a batch took."""
        for meter in self._meters:
            meter(measure, seconds)
