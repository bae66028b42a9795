"""When producers are to wake this worker, and when it looks by itself.

The row says idle while the worker waits: then every commit of a producer tells it. Said, it claims once more before it
waits, so that nothing falls between the two. Under load it says nothing, so that no commit pays for a NOTIFY, and looks
every few milliseconds; what it says changes when load begins or ends, and not with every run.
"""

from collections.abc import Iterator
from selectors import BaseSelector
from typing import Final

from reproq.store.listener import Ear
from reproq.store.requests import Request, SayIdle
from reproq.store.workers import WorkerRow

QUIET_SECONDS: Final = 0.02
"""Claims that found something within this time of one another are load; this long without one ends it."""
LOOK_AGAIN_SECONDS: Final = 0.003
"""How soon a worker under load looks again when it has room."""
FULL_SECONDS: Final = 0.5
"""A worker that has had no room for this long does not want to be woken."""


class Wakeups:
    """What the worker has said, and what it hears. Moments are CLOCK_MONOTONIC."""

    def __init__(self, ear: Ear, row: WorkerRow, selector: BaseSelector) -> None:
        self._ear = ear
        self._row = row
        self._heard_times = 0
        self._says_idle: bool | None = False  # None: nobody knows what the row says
        self._to_say: bool | None = None
        self._found_s = float("-inf")
        self._full_since: float | None = None
        ear.start(selector)

    def heard(self) -> list[str]:
        """The queues that producers have named since the last call; an empty name stands for all."""
        names = self._ear.take_heard()
        if (times := self._ear.hears) != self._heard_times:
            self._heard_times = times
            names.append("")  # whatever was named before this connection was made is lost
        return names

    def forget(self) -> None:
        """The worker's row was written anew, on another connection than words of ours that may still be on their way:
        what it says is not known until it is told again."""
        self._says_idle = None

    def after_claim(self, found: int, now: float) -> float | None:
        """In how many seconds to claim again; None: nothing speaks against waiting to be woken, or for the poll."""
        if not self._heard_times or not self._ear.hears:
            return None
        if found:
            was_quiet = now - self._found_s >= QUIET_SECONDS
            self._found_s = now
            if self._says_idle and was_quiet:
                return None
            self._say(idle=False)
            return LOOK_AGAIN_SECONDS
        if self._says_idle:
            return None
        if now - self._found_s < QUIET_SECONDS:
            return LOOK_AGAIN_SECONDS
        self._say(idle=True)
        return 0.0

    def watch_room(self, room: int, now: float) -> bool:
        """Whether to claim as soon as there is room: it has had none for so long that nobody is to wake it."""
        if room > 0 or not self._says_idle:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now
        elif now - self._full_since >= FULL_SECONDS:
            self._full_since = None
            self._say(idle=False)
            return True
        return False

    def moments(self) -> Iterator[float]:
        """When `watch_room` next has something to see."""
        if self._full_since is not None:
            yield self._full_since + FULL_SECONDS

    def requests(self) -> Iterator[Request]:
        """What is to be said, before the claim that follows it."""
        if self._to_say is not None and self._to_say != self._says_idle:
            self._says_idle = self._to_say
            yield SayIdle(self._row, self._row.queues if self._says_idle else ())
        self._to_say = None

    def take_notices(self) -> list[str]:
        """Sentences for the log."""
        return self._ear.take_notices()

    def close(self) -> None:
        """Stop listening."""
        self._ear.close()

    def _say(self, *, idle: bool) -> None:
        self._to_say = idle
