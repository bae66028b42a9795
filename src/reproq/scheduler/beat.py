"""The beat: a loop that only fires schedules. It runs nothing, claims nothing, and needs no Django.

It is known by a row of its own, with the role `beat`, so that a dead one is seen. Any number of beats, and the workers
beside them, may run at once.
"""

import time
from collections.abc import Callable
from selectors import BaseSelector, DefaultSelector
from typing import Final

from reproq.config import Config
from reproq.scheduler.ticking import Ticking
from reproq.store.db import Database
from reproq.store.periodic import BeatAnswer, Fired, FirePeriodicTasks
from reproq.store.requests import Answer, Deregister, Register, RenewAnswer, RenewLeases
from reproq.store.thread import Store
from reproq.store.workers import Bearer, WorkerRow
from reproq.telemetry.events import Telemetry
from reproq.worker.ledger import Ledger
from reproq.worker.presence import Presence

GIVE_UP_SECONDS: Final = 4.0
"""How long a stopping beat waits for an answer when the database is away: nothing of it can be lost."""
LONGEST_WAIT_SECONDS: Final = 3600.0


class Beat:
    """Call `step` until `finished`."""

    def __init__(
        self,
        config: Config,
        row: WorkerRow,
        store: Store,
        telemetry: Telemetry,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.selector: BaseSelector = DefaultSelector()
        self._row = row
        self._store = store
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._presence = Presence(config, row, telemetry, lambda: 0.0, rescues=False)
        self._holds = Ledger(0)
        self._ticking = Ticking(telemetry, config.beat_interval)
        self._stop_by_s: float | None = None
        store.start(self.selector)

    @property
    def finished(self) -> bool:
        """Whether a stopping beat has nothing more to hear of, or has waited long enough."""
        if self._stop_by_s is None:
            return False
        return not self._ticking.awaited or self._monotonic() > self._stop_by_s

    left_behind = 0
    """A beat holds nothing."""

    def drain(self, timeout_seconds: float | None = None) -> None:
        """Fire nothing more. Called again, it waits for nothing."""
        patience = GIVE_UP_SECONDS if self._stop_by_s is None else 0.0
        self._stop_by_s = self._monotonic() + patience

    def reap_adopted(self) -> None:
        """It starts no processes, and is handed none."""

    def step(self, max_wait_seconds: float = LONGEST_WAIT_SECONDS) -> None:
        """Wait for something to happen, at most this long, then do everything that is due."""
        now = self._monotonic()
        for key, _ in self.selector.select(max(0.0, min([now + max_wait_seconds, *self._moments()]) - now)):
            key.data()
        for answer in self._store.take_answers():
            self._hear(answer)
        for text in self._store.take_notices():
            self._telemetry.emit("database.notice", text=text)
        if self._stop_by_s is None:
            self._ask()

    def close(self) -> None:
        """Take the row away, and end the store. To be called once."""
        if self._presence.may_have_row:
            self._store.submit(Deregister(self._row))
        self._store.close()
        self.selector.close()
        self._telemetry.emit("beat.stopped", worker=self._row.worker_id)

    def _moments(self) -> list[float]:
        if self._stop_by_s is not None:
            return [self._stop_by_s]
        return [*self._presence.moments(), *self._ticking.moments(self._presence.registered)]

    def _ask(self) -> None:
        now = self._monotonic()
        for request in self._presence.requests(now, self._holds, draining=False):
            self._store.submit(request)
        for asked in self._ticking.requests(now, self._presence.registered):
            self._store.submit(asked)

    def _hear(self, answer: Answer) -> None:
        if answer.error is not None:
            raise answer.error
        now = self._monotonic()
        match answer.request, answer.result:
            case Register(), str() | Bearer() as standing:
                self._presence.on_registered(standing, now)
            case RenewLeases(), RenewAnswer() as renewed:
                self._presence.on_renewed(renewed, now)
            case _, BeatAnswer() | int() as told:
                self._ticking.hear(told, now)


def fire_once(database: Database, telemetry: Telemetry) -> tuple[list[Fired], str]:
    """Fire all that is due now, and no more: what was decided, and why that failed, if it did. For a timer of the
    system's that calls us."""
    decided: list[Fired] = []
    ticking = Ticking(telemetry, LONGEST_WAIT_SECONDS)
    while True:
        answer = FirePeriodicTasks().run(database, None)
        ticking.hear(answer, time.monotonic())
        decided += answer.fired
        if answer.trouble or not answer.is_partial:
            return decided, answer.trouble
