"""Events: what happened, once, with its fields. Who emits one knows nothing of who listens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Field = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: a dotted name, and its fields in the order in which they read well."""

    name: str
    fields: Mapping[str, Field]


Handler = Callable[[Event], None]


class Telemetry:
    """Hands every event to every handler."""

    def __init__(self, handlers: Sequence[Handler] = ()) -> None:
        self._handlers = tuple(handlers)

    def emit(self, name: str, **fields: Field) -> None:
        """Emit one event."""
        event = Event(name, fields)
        for handler in self._handlers:
            handler(event)
