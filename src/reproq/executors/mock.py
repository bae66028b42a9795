"""No process at all: each run is a deadline, then a success with null. For measuring what everything else costs."""

import time
from collections import OrderedDict
from selectors import BaseSelector

from reproq.executors import Ended
from reproq.executors.orphans import Adopted
from reproq.executors.pace import Pace
from reproq.lifecycle import Key, Outcome, Release, Success
from reproq.wire import Payload

MOCK_RETURN = Success("null")


class MockExecutor:
    """Every run "sleeps" `sleep_seconds` and succeeds, `concurrency` of them at once. See the protocol `Executor`."""

    def __init__(self, sleep_seconds: float, concurrency: int) -> None:
        self._sleep_seconds = sleep_seconds
        self._concurrency = concurrency
        self._pace = Pace(sleep_seconds)
        self._begins: OrderedDict[Key, float] = OrderedDict()  # in the order of their ends: all sleep equally long
        self._waiting: OrderedDict[Key, None] = OrderedDict()  # a dict is slow at giving up its first
        self._ended: list[Ended] = []
        self._adopted = Adopted()

    imports_once = False

    @property
    def ready(self) -> bool:
        return True

    @property
    def running(self) -> int:
        return len(self._begins) + len(self._waiting) + len(self._ended)

    def ahead(self, trip_seconds: float) -> int:
        return self._pace.ahead(self._concurrency, trip_seconds)

    def start(self, selector: BaseSelector) -> None:
        """There is nothing to wait for but deadlines."""

    def submit(self, key: Key, payload: Payload) -> None:
        if key in self._begins or key in self._waiting:
            raise ValueError(f"run {key[0]} is running already under this claim token")
        if self._waiting or len(self._begins) >= self._concurrency:
            self._waiting[key] = None
        else:
            self._begin(key, time.monotonic())

    def stop(self, key: Key, outcome: Outcome, grace_seconds: float | None = None) -> None:
        now = time.monotonic()
        if key in self._waiting:
            del self._waiting[key]
            self._ended.append(Ended(key, outcome, None, now))
        elif (begun_s := self._begins.pop(key, None)) is not None:
            self._ended.append(Ended(key, outcome, begun_s, now))
            self._begin_next(now)

    def withdraw(self, reason: str) -> None:
        for key in list(self._waiting):
            self.stop(key, Release(reason, started=False))

    def deadline(self) -> float | None:
        if self._ended:
            return self._ended[0].ended_s
        for begins_s in self._begins.values():
            return begins_s + self._sleep_seconds
        return None

    def tick(self) -> None:
        now = time.monotonic()
        while self._begins:
            key, begun_s = next(iter(self._begins.items()))
            over_s = begun_s + self._sleep_seconds
            if now < over_s:
                return
            self._begins.popitem(last=False)
            self._ended.append(Ended(key, MOCK_RETURN, begun_s, over_s))
            self._begin_next(over_s)

    def _begin_next(self, moment_s: float) -> None:
        """A waiting run begins, if there is a place: at that moment, not at the one at which we come to look."""
        if self._waiting and len(self._begins) < self._concurrency:
            self._begin(self._waiting.popitem(last=False)[0], moment_s)

    def _begin(self, key: Key, moment_s: float) -> None:
        last_s = next(reversed(self._begins.values()), moment_s)
        self._begins[key] = last_s if last_s > moment_s else moment_s

    def take_ended(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def take_notices(self) -> list[str]:
        return []

    def reap_adopted(self) -> None:
        self._adopted.reap(frozenset())

    def close(self) -> None:
        self.withdraw("the executor was closed")
        for key in list(self._begins):
            self.stop(key, Release("the executor was closed", started=True))
