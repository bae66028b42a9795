"""The door to processes: the protocol that every executor keeps, and the executors themselves.

An executor knows how to run payloads and how they ended. It refuses to know what becomes of a run (that is
`lifecycle.decide`), the database, and the clock on the wall: all its moments are CLOCK_MONOTONIC seconds.
"""

from selectors import BaseSelector
from typing import NamedTuple, Protocol

from reproq.lifecycle import Key, Outcome
from reproq.output import NOTHING, Output
from reproq.wire import Payload


class Ended(NamedTuple):
    """The end of one attempt. `started_s` is None when its task never began."""

    key: Key
    outcome: Outcome
    started_s: float | None
    ended_s: float
    output: Output = NOTHING


class Executor(Protocol):
    """Runs payloads in processes. Everything here returns at once; the worker's one selector does the waiting."""

    def start(self, selector: BaseSelector) -> None:
        """Begin. Descriptors are registered with a callable without arguments as `data`, called when they are ready."""

    @property
    def imports_once(self) -> bool:
        """Whether a task that its project does not know stays unknown until the worker is started again."""

    @property
    def ready(self) -> bool:
        """Whether runs can be submitted (a template has imported its project). Raises ConfigurationError when it
        never will be."""

    @property
    def running(self) -> int:
        """How many submitted runs have not been taken as ended."""

    def ahead(self, trip_seconds: float) -> int:
        """How many runs it wants to hold beyond those that it runs at once, so that none of its processes waits while
        the next are claimed, which takes `trip_seconds`. 0 while runs are long: others could take them meanwhile."""

    def submit(self, key: Key, payload: Payload) -> None:
        """Start one run, or have it wait for a process. Its end comes out of `take_ended`."""

    def stop(self, key: Key, outcome: Outcome, grace_seconds: float | None = None) -> None:
        """Make the run end: TERM, the grace (None: the configured one), KILL. It ends with `outcome` unless its reply
        came first, or it succeeded within the grace: what was done is not thrown away. A second call can only shorten
        the grace. Unknown keys are ignored: the run may have ended."""

    def withdraw(self, reason: str) -> None:
        """Release what was submitted and has not begun."""

    def deadline(self) -> float | None:
        """The next moment (CLOCK_MONOTONIC) at which `tick` or `take_ended` has something to do: what ended without a
        process has woken nobody. None when there is none."""

    def tick(self) -> None:
        """Act on what is due: timeouts, kills after the grace, restarts of a dead template."""

    def take_ended(self) -> list[Ended]:
        """The runs that ended since the last call; each exactly once."""

    def take_notices(self) -> list[str]:
        """Sentences for the log since the last call: warnings of the project's import, deaths of a template."""

    def reap_adopted(self) -> None:
        """Reap children of this process that nobody here started (see `orphans.Adopted`): some child has ended."""

    def close(self) -> None:
        """Kill every process that is left, reap, and unregister; what was running ends with a Release. Idempotent.
        The only thing here that may wait, a few seconds at most: for the end of the worker."""
