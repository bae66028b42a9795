"""Who kills templates: runs that were under way when one died are tried one after the other, beside honest ones.

The kernel does not say who has sent a KILL. But a template that dies again while only one of its runs has seen such a
death before was killed by that run, or by somebody outside at that very moment. It refuses to know processes.
"""

import math
from typing import Final

from reproq.executors import Ended
from reproq.lifecycle import Failure, Key, Kind, Success, failure_of_kind
from reproq.wire import REPLY_KINDS

TRIAL_SECONDS: Final = 1.0
MAX_TRIAL_SECONDS: Final = 32.0
"""A trial is twice as long with each death that a run was under way at, up to this: who waits first is found too."""
MAX_SUSPECTS: Final = 1000
ANSWERS: Final = REPLY_KINDS - {Kind.TIMEOUT}


class Suspects:
    """The suspects of one executor. Moments are CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._deaths: dict[int, int] = {}  # the id of a run -> how many deaths it was under way at
        self._tried: Key | None = None
        self._until_s = -math.inf

    def __bool__(self) -> bool:
        return bool(self._deaths)

    def __contains__(self, key: Key) -> bool:
        return key[0] in self._deaths

    def admits(self, key: Key, now_s: float) -> bool:
        """Whether this run may begin now: a suspect waits while another is tried."""
        if key in self and self.is_over(now_s):
            self._tried = None
        return key not in self or self._tried is None

    def is_over(self, now_s: float) -> bool:
        """Whether a trial has come to its end, so that another may begin."""
        return self._tried is not None and now_s >= self._until_s

    def begins(self, key: Key, now_s: float) -> None:
        """A run begins; the trial, if it is a suspect."""
        if deaths := self._deaths.get(key[0]):
            self._tried = key
            self._until_s = now_s + min(TRIAL_SECONDS * (1 << min(deaths - 1, 10)), MAX_TRIAL_SECONDS)

    def due_at(self, now_s: float) -> float:
        """When the trial under way is over and another may begin, infinity for never."""
        return self._until_s if self._tried is not None and now_s < self._until_s else math.inf

    def ended(self, ended: Ended) -> None:
        """A run has ended; with an answer of its own it is no suspect any more."""
        if ended.key == self._tried:
            self._tried = None
        match ended.outcome:
            case Success():
                self._deaths.pop(ended.key[0], None)
            case Failure(kind=kind) if kind in ANSWERS:
                self._deaths.pop(ended.key[0], None)

    def blamed(self, under_way: list[Key], now_s: float) -> Key | None:
        """A template has died: whose fault it was, if that can be told. If not, all of these are suspects."""
        tried = self._tried if now_s < self._until_s and self._tried in under_way else None
        for key in under_way if tried is None else [tried]:
            self._deaths[key[0]] = self._deaths.pop(key[0], 0) + 1  # the latest come last
        while len(self._deaths) > MAX_SUSPECTS:
            del self._deaths[next(iter(self._deaths))]
        return tried


def killed_its_template(reason: str) -> Failure:
    """The failure of the run that is blamed; `reason` says how the template died."""
    text = (
        f"{reason}\nThis run was under way when a template died before, and this time no other such run was beside "
        "it: it is held to have killed both"
    )
    return failure_of_kind(Kind.CHILD_DIED, text)
