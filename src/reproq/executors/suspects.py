"""Who kills templates: runs that were under way when one died are tried, first beside others and then alone.

The kernel does not say who has sent a KILL. So nobody is blamed for a death that a run beside it may have caused, even
one that has just answered: only a suspect that was alone in its template. It refuses to know processes.
"""

import math
from collections.abc import Collection
from typing import Final

from reproq.executors import Ended
from reproq.lifecycle import Failure, Key, Kind, Success, failure_of_kind
from reproq.wire import REPLY_KINDS

TRIAL_SECONDS: Final = 1.0
MAX_TRIAL_SECONDS: Final = 32.0
"""A trial is twice as long with each death that a run was under way at, up to this: who waits first is found too."""
ALONE_AFTER: Final = 2
"""Deaths after which a suspect is tried alone. After one, as when somebody outside has killed a template, it is tried
beside honest runs, which so need not wait for it."""
MAX_SUSPECTS: Final = 1000
ANSWERS: Final = REPLY_KINDS - {Kind.TIMEOUT}


class Suspects:
    """The suspects of one executor. Moments are CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._deaths: dict[int, int] = {}
        """The id of a run, and how many deaths it was under way at; who comes first is tried first."""
        self._tried: Key | None = None
        self._until_s = -math.inf
        self._is_alone = False  # whoever is tried
        self._waits_until_s = math.inf  # who is to be tried alone, for the others to end

    def __bool__(self) -> bool:
        return bool(self._deaths)

    def __contains__(self, key: Key) -> bool:
        return key[0] in self._deaths

    def turn(self, waiting: Collection[Key], now_s: float, *, is_idle: bool) -> tuple[Key | None, bool]:
        """The suspect among these that may begin now, if one may, and whether others may begin beside. `is_idle`: no
        run is under way."""
        if self._is_trying(now_s):
            return None, not self._is_alone
        suspect = self._first(waiting)
        if suspect is None or self._deaths[suspect[0]] < ALONE_AFTER:
            self._waits_until_s = math.inf
            return suspect, True
        if is_idle:
            return suspect, False
        # It would be the end of all of them. So it waits until they have ended, and for long ones as long as a trial.
        self._waits_until_s = min(self._waits_until_s, now_s + self._trial_seconds(suspect))
        is_patient = now_s < self._waits_until_s
        return None if is_patient else suspect, not is_patient

    def begins(self, key: Key, now_s: float, *, is_idle: bool) -> None:
        """A run begins; the trial, if it is a suspect."""
        if deaths := self._deaths.get(key[0]):
            self._tried = key
            self._until_s = now_s + self._trial_seconds(key)
            self._waits_until_s = math.inf
            self._is_alone = is_idle and deaths >= ALONE_AFTER
            if is_idle:  # the next to be alone is another
                self._deaths[key[0]] = self._deaths.pop(key[0])

    def due_at(self, now_s: float) -> float:
        """When others may begin that may not now, infinity for never."""
        trial = self._until_s if self._is_trying(now_s) else math.inf
        return min(trial, self._waits_until_s if now_s < self._waits_until_s else math.inf)

    def is_due(self, now_s: float) -> bool:
        """Whether a trial has come to its end, or a wait, so that another may begin."""
        return (self._tried is not None and now_s >= self._until_s) or now_s >= self._waits_until_s

    def ended(self, ended: Ended) -> None:
        """A run has ended; with an answer of its own it is no suspect any more."""
        if ended.key == self._tried:
            self._tried = None
        match ended.outcome:
            case Success():
                self._deaths.pop(ended.key[0], None)
            case Failure(kind=kind) if kind in ANSWERS:
                self._deaths.pop(ended.key[0], None)

    def blamed(self, under_way: list[Key], now_s: float, *, others: bool = False) -> Key | None:
        """A template has died: whose fault it was, if that can be told. If not, all of these are suspects. `others`:
        besides these there are runs that have ended, and may have killed it before."""
        for key in under_way:
            self._deaths[key[0]] = self._deaths.get(key[0], 0) + 1
        while len(self._deaths) > MAX_SUSPECTS:
            del self._deaths[next(iter(self._deaths))]
        tried = self._tried if self._is_trying(now_s) else None
        self._tried = None
        return tried if under_way == [tried] and not others else None

    def _is_trying(self, now_s: float) -> bool:
        return self._tried is not None and now_s < self._until_s

    def _first(self, waiting: Collection[Key]) -> Key | None:
        by_id = {key[0]: key for key in waiting if key in self}
        return next((by_id[run] for run in self._deaths if run in by_id), None)

    def _trial_seconds(self, key: Key) -> float:
        return min(TRIAL_SECONDS * (1 << min(self._deaths[key[0]] - 1, 10)), MAX_TRIAL_SECONDS)


def killed_its_template(reason: str) -> Failure:
    """The failure of the run that is blamed; `reason` says how the template died."""
    text = (
        f"{reason}\nThis run was under way when a template died before, and this time no other run was beside it: it "
        "is held to have killed both"
    )
    return failure_of_kind(Kind.CHILD_DIED, text)
