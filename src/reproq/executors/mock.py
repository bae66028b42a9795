"""No process at all: each run is a deadline, then a success with null. For measuring what everything else costs."""

import time
from selectors import BaseSelector

from reproq.executors import Ended
from reproq.executors.orphans import Adopted
from reproq.lifecycle import Key, Outcome, Release, Success
from reproq.wire import Payload

MOCK_RETURN = Success("null")


class MockExecutor:
    """Every run "sleeps" `sleep_seconds` and succeeds. See the protocol `Executor`."""

    def __init__(self, sleep_seconds: float) -> None:
        self._sleep_seconds = sleep_seconds
        self._started: dict[Key, float] = {}  # in the order of their ends, since all sleep equally long
        self._ended: list[Ended] = []
        self._adopted = Adopted()

    imports_once = False

    @property
    def ready(self) -> bool:
        return True

    @property
    def running(self) -> int:
        return len(self._started) + len(self._ended)

    def start(self, selector: BaseSelector) -> None:
        """There is nothing to wait for but deadlines."""

    def submit(self, key: Key, payload: Payload) -> None:
        if key in self._started:
            raise ValueError(f"run {key[0]} is running already under this claim token")
        self._started[key] = time.monotonic()

    def stop(self, key: Key, outcome: Outcome, grace_seconds: float | None = None) -> None:
        started_s = self._started.pop(key, None)
        if started_s is not None:
            self._ended.append(Ended(key, outcome, started_s, time.monotonic()))

    def withdraw(self, reason: str) -> None:
        """Nothing waits here."""

    def deadline(self) -> float | None:
        if self._ended:
            return self._ended[0].ended_s
        for started_s in self._started.values():
            return started_s + self._sleep_seconds
        return None

    def tick(self) -> None:
        now = time.monotonic()
        while self._started:
            key, started_s = next(iter(self._started.items()))
            if now < started_s + self._sleep_seconds:
                return
            del self._started[key]
            self._ended.append(Ended(key, MOCK_RETURN, started_s, now))

    def take_ended(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def take_notices(self) -> list[str]:
        return []

    def reap_adopted(self) -> None:
        self._adopted.reap(frozenset())

    def close(self) -> None:
        for key in list(self._started):
            self.stop(key, Release("the executor was closed", started=True))
