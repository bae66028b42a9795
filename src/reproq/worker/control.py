"""What people want of runs under way: once a second the database is asked whether one of them is to be cancelled."""

from collections.abc import Collection, Iterator
from typing import Final

from reproq.lifecycle import Key
from reproq.store.requests import AskCancelled, Request
from reproq.worker.duty import Duty

CONTROL_SECONDS: Final = 1.0


class Control:
    """Asks while something runs. Runs that come to an idle worker and end within a second are never asked about."""

    def __init__(self) -> None:
        self._duty = Duty()

    def wait(self, now: float) -> None:
        """The first of some runs begins: nobody can want it cancelled yet."""
        self._duty.next_s = now + CONTROL_SECONDS

    def moments(self, running: Collection[Key]) -> Iterator[float]:
        """When `requests` next has something to ask."""
        if running and self._duty.asked_s is None:
            yield self._duty.next_s

    def requests(self, now: float, running: Collection[Key]) -> Iterator[Request]:
        """The question, when it is due."""
        if running and self._duty.is_due(now):
            self._duty.ask(now, CONTROL_SECONDS)
            yield AskCancelled(tuple(running))

    def on_answer(self) -> None:
        """The answer came."""
        self._duty.asked_s = None
