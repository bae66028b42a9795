"""The events of a history: what a seed can make happen. Plain values; `world` makes them happen.

Each names what it means by a number that is taken modulo what there is, and does nothing where there is nothing: so
events can be dropped from a history one by one, and what is left is still a history.
"""

from dataclasses import dataclass, fields
from enum import StrEnum


class Fault(StrEnum):
    """What becomes of one request."""

    NONE = "answered"
    CUT = "cut"  # at a boundary, so that nothing of the transaction is left; before the first one: lost on its way
    ANSWER_LOST = "committed, answer lost"
    LATE = "on its way"  # it is executed later, by a session that the client has given up
    DIED_BEFORE = "process killed before the commit"
    DIED_AFTER = "process killed after the commit"


class How(StrEnum):
    """How an execution ends."""

    SUCCEEDS = "succeeds"
    RAISES = "raises"
    TIMES_OUT = "times out"
    DIES = "dies"
    UNKNOWN = "is of no known task"
    UNSTORABLE = "returns what cannot be stored"
    GIVEN_BACK = "is given back before it started"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a worker's loop."""

    worker: int


@dataclass(frozen=True, slots=True)
class Serve:
    """One request of a worker is tried. `boundary`: before which of its statements the fault strikes."""

    worker: int
    fault: Fault
    boundary: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """A worker does all that it can do now."""

    worker: int


@dataclass(frozen=True, slots=True)
class Ambush:
    """The next request of this kind, of whichever worker works, is held at a boundary while as many events happen."""

    request: str
    boundary: int
    events: int


@dataclass(frozen=True, slots=True)
class Strike:
    """The next request of this kind, of whichever worker works, meets a fault."""

    request: str
    fault: Fault
    boundary: int = 0


@dataclass(frozen=True, slots=True)
class Calm:
    """For some heartbeats, everybody who lives does what is due."""

    heartbeats: int


@dataclass(frozen=True, slots=True)
class Pass:
    """Time passes, and nobody does anything."""

    seconds: float


@dataclass(frozen=True, slots=True)
class End:
    """An execution of a worker ends."""

    worker: int
    pick: int
    how: How


@dataclass(frozen=True, slots=True)
class Enqueue:
    """A producer enqueues a run."""

    queue_name: str
    priority: int
    delay_seconds: float | None
    max_attempts: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody cancels a run by hand."""

    pick: int


@dataclass(frozen=True, slots=True)
class Retry:
    """Somebody retries a run by hand."""

    pick: int


@dataclass(frozen=True, slots=True)
class Start:
    """A process is started in a worker's place, unless one lives there."""

    worker: int


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker is killed, and its children with it."""

    worker: int


@dataclass(frozen=True, slots=True)
class Freeze:
    """A worker's process stops for so long (0: it goes on), its children run on."""

    worker: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Drain:
    """A worker is told to end in order."""

    worker: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StepClock:
    """Somebody sets the wall clock of a worker's host."""

    worker: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outage:
    """The database cannot be reached."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Crash:
    """The database crashes and is back at once. As many of the commits that did not wait are gone."""

    forgotten: int


@dataclass(frozen=True, slots=True)
class Arrive:
    """A request that was on its way is executed; nobody hears the answer."""

    pick: int


Event = (
    Step | Serve | Work | Ambush | Strike | Calm | Pass | End | Enqueue | Cancel | Retry | Start | Kill | Freeze | Drain
    | StepClock | Outage | Crash | Arrive
)  # fmt: skip


def line(event: Event) -> str:
    """The event for people: `Kill worker=1`."""
    return " ".join([type(event).__name__, *(f"{field.name}={getattr(event, field.name)}" for field in fields(event))])
