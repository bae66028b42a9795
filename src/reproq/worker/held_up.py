"""Runs whose rows somebody's transaction holds, so that neither lease nor end can be written: told once when that
begins, with who it is, and once when it is over.

It refuses to know when a row is tried again: that is Presence for leases, and the Ledger for ends.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from reproq.lifecycle import Key
from reproq.store.holders import UNKNOWN, AskHolders, Holder
from reproq.store.requests import Request
from reproq.telemetry.events import Telemetry
from reproq.worker.ledger import Ledger
from reproq.worker.tell import tell_freed, tell_held_up


class HeldUp:
    """Moments are CLOCK_MONOTONIC. Who holds a row is asked when it was passed over. Where nobody is found, the lock
    may have been one of a moment: nothing is told of it before it was passed over again."""

    def __init__(self, telemetry: Telemetry, ledger: Ledger) -> None:
        self._telemetry = telemetry
        self._ledger = ledger
        self._since: dict[Key, float] = {}
        self._to_ask: dict[Key, None] = {}
        self._in_vain: set[Key] = set()
        self._told: dict[Key, str | None] = {}  # and the task of each
        self._asks = False

    def passed_over(self, keys: Collection[Key], now: float) -> None:
        """These could not be written."""
        for key in keys:
            self._since.setdefault(key, now)
            if key not in self._told:
                self._to_ask[key] = None

    def requests(self) -> Iterator[Request]:
        """The question who it is, where that is not known."""
        if self._to_ask and not self._asks:
            self._asks = True
            yield AskHolders(tuple(self._to_ask))
            self._to_ask = {}

    def on_holders(self, asked: Collection[Key], found: Mapping[int, Holder]) -> None:
        """The answer: told at once of those that somebody is known to hold."""
        self._asks = False
        for key in asked:
            if key not in self._since:
                continue  # it is over
            if key[0] in found or key in self._in_vain:
                self._tell(key, found.get(key[0], UNKNOWN))
            else:
                self._in_vain.add(key)

    def over(self, keys: Iterable[Key], now: float, *, free: bool = True) -> None:
        """These could be written, or (not `free`) are ours no more, of which others tell."""
        for key in self._since.keys() & keys if self._since else ():
            seconds = now - self._since.pop(key)
            self._to_ask.pop(key, None)
            self._in_vain.discard(key)
            if key in self._told:
                task = self._told.pop(key)
                if free:
                    tell_freed(self._telemetry, key, task, seconds)

    def close(self) -> None:
        """Nothing more can be asked: what was not told yet is told without who it is."""
        for key in self._since.keys() - self._told.keys():
            self._tell(key, UNKNOWN)

    def _tell(self, key: Key, holder: Holder) -> None:
        self._told[key] = task = self._ledger.task_of(key)
        tell_held_up(self._telemetry, key, task, holder, has_ended=key in self._ledger.ending)
