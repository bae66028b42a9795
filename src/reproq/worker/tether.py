"""Runs that must not overlap with their next attempt (`on_lost_contact="stop"`): until when each may go on unrenewed.

Judged by this host's CLOCK_MONOTONIC, from the moment at which its claim or its newest renewal was asked: the database
began to count the lease later than that. It refuses to know why a renewal fails, and how a run is stopped.
"""

from collections.abc import Collection, Iterator
from typing import Final

from reproq.lifecycle import Key, Release

LONGEST_MARGIN_SECONDS: Final = 1.0
MARGIN_SHARE: Final = 1 / 30
"""Of the lease: between KILL and its end, for the loop, the kernel, and two clocks that do not run alike."""
LONGEST_GRACE_SHARE: Final = 1 / 3
"""Of the lease: what TERM and KILL may lie apart. Three heartbeats fit into a lease, so that no run that is renewed in
time is ever asked to end."""
OUT_OF_CONTACT: Final = Release(
    "the worker lost the database, and the run must not overlap with its next attempt", True
)
CLAIMED_TOO_LATE: Final = Release("the answer to its claim came so late that its lease may be over", started=False)


class Tether:
    """The claims of one worker that are to be stopped in time, each with the moment at which to ask it to end."""

    def __init__(self, lease_seconds: float, kill_grace_seconds: float) -> None:
        self._grace_seconds = min(kill_grace_seconds, lease_seconds * LONGEST_GRACE_SHARE)
        margin_seconds = min(LONGEST_MARGIN_SECONDS, lease_seconds * MARGIN_SHARE)
        self._unrenewed_seconds = lease_seconds - margin_seconds - self._grace_seconds
        self._stop_s: dict[Key, float] = {}
        self._next_s = float("inf")  # not later than the first of them

    def hold(self, key: Key, asked_s: float, now: float) -> bool:
        """A claim that was asked for at `asked_s` is to be started. False when it is too late for that."""
        stop_s = asked_s + self._unrenewed_seconds
        if stop_s <= now:
            return False
        self._stop_s[key] = stop_s
        self._next_s = min(self._next_s, stop_s)
        return True

    def renewed(self, ours: Collection[Key], asked_s: float) -> None:
        """A renewal that was asked at `asked_s` has extended these leases."""
        for key in self._stop_s.keys() & ours:
            self._stop_s[key] = asked_s + self._unrenewed_seconds
        self._next_s = min(self._stop_s.values(), default=float("inf"))

    def let_go(self, key: Key) -> None:
        """The run has ended."""
        self._stop_s.pop(key, None)

    def moments(self) -> Iterator[float]:
        """When `due` next has something to say."""
        if self._stop_s:
            yield self._next_s

    def due(self, now: float) -> dict[Key, float]:
        """The claims that nothing has renewed for too long, once each, and the grace that is left to them."""
        if now < self._next_s:
            return {}
        found = {key: stop_s for key, stop_s in self._stop_s.items() if stop_s <= now}
        for key in found:
            del self._stop_s[key]
        self._next_s = min(self._stop_s.values(), default=float("inf"))
        return {key: max(0.0, stop_s + self._grace_seconds - now) for key, stop_s in found.items()}
