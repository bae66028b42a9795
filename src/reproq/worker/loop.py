"""The worker's loop: `Worker.step()` waits once and does what is due. The only code that decides *when*.

It owns no process, no connection and no signal: the executor, the store and `reproq.service` do. Everything here runs
in one thread and returns at once, so that a heartbeat proves that the loop lives.
"""

import random
import secrets
import time
from collections.abc import Callable
from itertools import batched, chain
from selectors import BaseSelector, DefaultSelector
from typing import Final

from reproq.config import Config
from reproq.executors import Executor
from reproq.lifecycle import Release, Success
from reproq.scheduler.ticking import Ticking
from reproq.store.ends import FinalizeAnswer
from reproq.store.listener import Deaf, Ear
from reproq.store.requests import Deregister, FinalizeRuns
from reproq.store.thread import Store
from reproq.store.workers import WorkerRow
from reproq.telemetry.events import Telemetry
from reproq.worker.control import Control
from reproq.worker.drain import Drain
from reproq.worker.figures import Figures
from reproq.worker.hearing import Hearing
from reproq.worker.held_up import HeldUp
from reproq.worker.intake import Intake
from reproq.worker.ledger import Ledger
from reproq.worker.presence import Presence
from reproq.worker.pruning import Pruning
from reproq.worker.tell import tell_discarded, tell_notices, tell_output
from reproq.worker.tether import OUT_OF_CONTACT, Tether
from reproq.worker.wakeups import Wakeups

MAX_FINALIZE_BATCH: Final = 500
LONGEST_WAIT_SECONDS: Final = 3600.0


class Worker:
    """Claims runs, hands them to the executor, and stores how they ended. Call `step` until `finished`."""

    def __init__(
        self,
        config: Config,
        row: WorkerRow,
        store: Store,
        executor: Executor,
        telemetry: Telemetry,
        *,
        ear: Ear = Deaf(),  # noqa: B008 - it has no state
        burst: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
        draw_token: Callable[[], int] = lambda: secrets.randbits(64) - 2**63,
        draw_fraction: Callable[[], float] = random.random,
    ) -> None:
        self.selector: BaseSelector = DefaultSelector()
        self._config = config
        self._row = row
        self._store = store
        self._executor = executor
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._figures = Figures(telemetry)
        self._ledger = Ledger(config.max_releases)
        self._presence = Presence(config, row, telemetry, draw_fraction)
        self._intake = Intake(config, row, draw_token)
        self._wakeups = Wakeups(ear, row, self.selector)
        self._control = Control()
        self._pruning = Pruning(config, telemetry, draw_fraction, monotonic())
        self._ticking = Ticking(telemetry, config.beat_interval, fires=config.beat)
        self._drain = Drain(config.kill_grace)
        self._tether = Tether(config.lease, config.kill_grace)
        self._held_up = HeldUp(telemetry, self._ledger)
        self._hearing = Hearing(
            executor=executor,
            telemetry=telemetry,
            figures=self._figures,
            ledger=self._ledger,
            presence=self._presence,
            intake=self._intake,
            wakeups=self._wakeups,
            control=self._control,
            pruning=self._pruning,
            ticking=self._ticking,
            drain=self._drain,
            tether=self._tether,
            held_up=self._held_up,
            burst=burst,
        )
        store.start(self.selector)
        executor.start(self.selector)

    # -- what a caller may ask ----------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether a draining worker has nothing left to run, to store or to hear of, or has given up storing."""
        if not self._drain.under_way:
            return False
        if not self._ledger.unstored and not self._intake.claiming:
            return True
        return self._drain.gives_up(self._monotonic())

    @property
    def left_behind(self) -> int:
        """Runs whose end is not stored; if the worker ends now, their leases bring them back."""
        return self._ledger.unstored

    def drain(self, timeout_seconds: float | None = None) -> None:
        """Stop claiming, and release what has not started. What runs has `timeout_seconds` (default: drain_timeout)
        to end: TERM comes a little before (kill_grace, a fifth of the time at most), KILL then, and it is released."""
        patience = self._config.drain_timeout if timeout_seconds is None else timeout_seconds
        self._drain.begin(self._monotonic(), patience)
        self._executor.withdraw("the worker is draining")
        running, held_up = len(self._ledger.running), self._ledger.held_up
        then = "a second signal stops them at once"
        self._telemetry.emit("worker.draining", running=running, held_up=held_up, timeout_seconds=patience, next=then)
        self._telemetry.flush()  # the next step may wait for a database that is away

    def step(self, max_wait_seconds: float = LONGEST_WAIT_SECONDS) -> None:
        """Wait for something to happen, at most this long, then do everything that is due."""
        self._wait(max_wait_seconds)
        self._executor.tick()
        self._take_ended()
        if answers := self._store.take_answers():
            for answer in answers:
                self._hearing.hear(answer, self._monotonic())
            self._executor.tick()  # what was claimed begins now, not after another wait
            self._take_ended()
        for queue_name in self._wakeups.heard():
            self._intake.wake(queue_name, self._monotonic())
        tell_notices(self._telemetry, self._executor, self._store, self._wakeups)
        self._stop_what_outlasts_the_drain()
        self._stop_what_is_out_of_contact()
        self._ask()
        self._telemetry.flush()

    def reap_adopted(self) -> None:
        """Some child of this process has ended: if the kernel handed it to us, reap it."""
        self._executor.reap_adopted()

    def close(self) -> None:
        """Kill what still runs and give it back, take the worker's row away, and end the store. To be called once, also
        after an error that ended the loop: what it had in hand is stored all the same, if the database answers."""
        self._executor.close()
        self._take_ended()
        for part in batched(self._ledger.waiting, MAX_FINALIZE_BATCH):
            self._store.submit(FinalizeRuns(part, self._row.worker_id, tried_before=True))
        if self._presence.may_have_row:
            self._store.submit(Deregister(self._row))
        self._wakeups.close()
        self._store.close()
        for answer in self._store.take_answers():
            if isinstance(answer.request, FinalizeRuns) and isinstance(answer.result, FinalizeAnswer):
                self._hearing.stored(answer.request.batch, answer.result, self._monotonic())
        self._held_up.close()
        if self.left_behind:
            self._telemetry.emit("worker.left_behind", runs=self.left_behind, next="their leases bring them back")
        self.selector.close()
        self._telemetry.emit("worker.stopped", worker=self._row.worker_id)
        self._telemetry.flush()

    def _wait(self, max_wait_seconds: float) -> None:
        now = self._monotonic()
        until = min([now + max_wait_seconds, *self._due_moments()])
        for key, _ in self.selector.select(max(0.0, until - now)):
            key.data()

    def _due_moments(self) -> list[float]:
        """Every known moment at which there is something to do."""
        moments = [*self._presence.moments(), *self._wakeups.moments(), *self._pruning.moments()]
        moments += [*self._control.moments(self._ledger.running), *self._tether.moments(), *self._ledger.moments()]
        if self._room() > 0:
            moments += self._intake.moments()
        moments += self._ticking.moments(self._is_at_work)
        return moments + [one for one in (self._executor.deadline(), self._drain.moment()) if one is not None]

    @property
    def _is_at_work(self) -> bool:
        return self._presence.registered and not self._drain.under_way

    def _room(self) -> int:
        """How many more runs may be claimed now."""
        if not self._is_at_work or self._ledger.is_full or not self._executor.ready:
            return 0
        ahead = self._executor.ahead(self._intake.trip_seconds)
        return self._intake.room(len(self._ledger.running), ahead, self._monotonic())

    def _take_ended(self) -> None:
        batch = self._executor.take_ended()
        self._figures.ended(batch)
        for ended in batch:
            self._tether.let_go(ended.key)
            tell_output(self._telemetry, ended, self._ledger.running.get(ended.key))
            if not isinstance(ended.outcome, Success):
                claimed = self._ledger.running.get(ended.key) if self._executor.imports_once else None
                self._intake.learn_from(ended.outcome, claimed, self._monotonic())
            if not self._ledger.end(ended):
                tell_discarded(self._telemetry, ended.key[0], "its lease was lost before it ended")

    # -- what is due --------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        now = self._monotonic()
        for request in self._presence.requests(now, self._ledger, self._drain.under_way):
            self._store.submit(request)
        batch, tried_before = self._ledger.begin_storing(MAX_FINALIZE_BATCH, now)
        if batch:
            self._store.submit(FinalizeRuns(batch, self._row.worker_id, tried_before=tried_before))
        running = self._ledger.running
        for asked in chain(self._held_up.requests(), self._control.requests(now, running), self._pruning.requests(now)):
            self._store.submit(asked)
        for look in self._ticking.requests(now, self._is_at_work):
            self._store.submit(look)
        if self._wakeups.watch_room(room := self._room(), now):
            self._intake.claim_again(now)
        for request in self._wakeups.requests():
            self._store.submit(request)
        if room > 0:
            for request in self._intake.requests(now, room):
                self._store.submit(request)

    def _stop_what_outlasts_the_drain(self) -> None:
        if (grace_seconds := self._drain.grace_seconds(self._monotonic())) is None:
            return
        for key in self._ledger.running:
            self._executor.stop(key, Release("the worker was stopped before it ended", started=True), grace_seconds)

    def _stop_what_is_out_of_contact(self) -> None:
        for key, grace_seconds in self._tether.due(self._monotonic()).items():
            self._executor.stop(key, OUT_OF_CONTACT, grace_seconds)
            self._telemetry.emit(
                "run.out_of_contact",
                id=key[0],
                task=self._ledger.running[key].payload.task_path,
                next="it is stopped before its lease ends, and given back when the database is there again",
            )
