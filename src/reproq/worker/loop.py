"""The worker's loop: `Worker.step()` waits once and does what is due. The only code that decides *when*.

It owns no process, no connection and no signal: the executor, the store and `reproq.service` do. Everything here runs
in one thread and returns at once, so that a heartbeat proves that the loop lives.
"""

import secrets
import time
from collections.abc import Callable
from selectors import BaseSelector, DefaultSelector
from typing import Final

from reproq.config import Config
from reproq.errors import ConfigurationError
from reproq.executors import Ended, Executor, Key
from reproq.lifecycle import Failure, Kind, Release
from reproq.store.claims import Claimed, Finalisation
from reproq.store.requests import (
    Answer,
    AskWorkLeft,
    ClaimAnswer,
    ClaimRuns,
    Deregister,
    FinalizeAnswer,
    FinalizeRuns,
    ListQueues,
    Register,
    RenewAnswer,
    RenewLeases,
    Request,
    RescueRuns,
)
from reproq.store.thread import Store
from reproq.store.workers import WorkerRow
from reproq.telemetry.events import Telemetry
from reproq.worker.duty import Duty
from reproq.worker.ledger import Ledger
from reproq.worker.tell import tell_discarded, tell_end, tell_rescued

ALL_QUEUES: Final = ("*",)
QUEUE_REFRESH_SECONDS: Final = 10.0
BURST_HORIZON_SECONDS: Final = 60.0
"""A burst waits for runs that fall due within this time (retries, mostly), and leaves later ones alone."""
MAX_FINALIZE_BATCH: Final = 500
LONGEST_WAIT_SECONDS: Final = 3600.0
MAX_ENDING: Final = 2000
"""Ends that wait to be stored; above it nothing is claimed, so that an outage cannot fill the memory."""
GIVE_UP_SECONDS: Final = 5.0
"""How long a drained worker still tries to store its last ends when the database is away."""


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
        burst: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
        draw_token: Callable[[], int] = lambda: secrets.randbits(64) - 2**63,
    ) -> None:
        self.selector: BaseSelector = DefaultSelector()
        self._config = config
        self._row = row
        self._store = store
        self._executor = executor
        self._telemetry = telemetry
        self._burst = burst
        self._monotonic = monotonic
        self._draw_token = draw_token

        self._registration = Duty()
        self._claims = Duty()
        self._renewals = Duty()
        self._rescues = Duty()
        self._queue_list = Duty()
        self._work_check = Duty(next_s=float("inf"))
        self._finalising = False
        self._registered = False
        self._queues = () if config.queues == ALL_QUEUES else config.queues
        self._ledger = Ledger(config.max_releases)
        self._contact_since: float | None = None
        self._refused_since: float | None = None
        self._drain_deadline: float | None = None
        self._killed_at_drain = False
        store.start(self.selector)
        executor.start(self.selector)

    # -- what a caller may ask ----------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether a draining worker has nothing left to run, to store or to hear of."""
        if self._drain_deadline is None:
            return False
        if not self._ledger.unstored and self._claims.asked_s is None:
            return True
        return self._monotonic() > self._drain_deadline + self._config.kill_grace + GIVE_UP_SECONDS

    @property
    def left_behind(self) -> int:
        """Runs whose end is not stored; if the worker ends now, their leases bring them back."""
        return self._ledger.unstored

    def drain(self, timeout_seconds: float | None = None) -> None:
        """Stop claiming. Running runs have `timeout_seconds` (default: drain_timeout) to end, then are released."""
        patience = self._config.drain_timeout if timeout_seconds is None else timeout_seconds
        deadline = self._monotonic() + patience
        self._drain_deadline = min(deadline, self._drain_deadline or deadline)
        self._telemetry.emit("worker.draining", running=len(self._ledger.running), timeout_seconds=patience)

    def step(self, max_wait_seconds: float = LONGEST_WAIT_SECONDS) -> None:
        """Wait for something to happen, at most this long, then do everything that is due."""
        self._wait(max_wait_seconds)
        self._executor.tick()
        for ended in self._executor.take_ended():
            self._end(ended)
        for answer in self._store.take_answers():
            self._hear(answer)
        self._tell_notices()
        self._enforce_drain()
        self._ask()

    def close(self) -> None:
        """Kill what still runs, take the worker's row away, and end the store. Idempotent enough to call once."""
        self._executor.close()
        if self._registered:
            self._store.submit(Deregister(self._row.worker_id, self._row.pid))
        if self.left_behind:
            self._telemetry.emit("worker.left_behind", runs=self.left_behind, next="their leases bring them back")
        self._store.close()
        self.selector.close()

    # -- waiting ------------------------------------------------------------------------------------------------------

    def _wait(self, max_wait_seconds: float) -> None:
        now = self._monotonic()
        moments = [now + max_wait_seconds, *self._due_moments()]
        for key, _ in self.selector.select(max(0.0, min(moments) - now)):
            key.data()

    def _due_moments(self) -> list[float]:
        """Every known moment at which `_ask` or the executor has something to do."""
        duties = [self._renewals, self._rescues, self._work_check] if self._registered else [self._registration]
        if self._may_claim():
            duties += [self._claims, self._queue_list] if self._serves_all else [self._claims]
        moments = [duty.next_s for duty in duties if duty.asked_s is None]
        if (deadline := self._executor.deadline()) is not None:
            moments.append(deadline)
        if self._drain_deadline is not None:
            moments.append(self._drain_deadline if not self._killed_at_drain else self._monotonic() + 1.0)
        return moments

    def _end(self, ended: Ended) -> None:
        if not self._ledger.end(ended):
            tell_discarded(self._telemetry, ended.key[0], "its lease was lost before it ended")

    # -- answers of the store -----------------------------------------------------------------------------------------

    def _hear(self, answer: Answer) -> None:
        if answer.error is not None:
            raise answer.error
        match answer.request, answer.result:
            case Register(), uuid:
                self._on_registered(uuid if isinstance(uuid, str) else None)
            case ClaimRuns(limit=limit), ClaimAnswer() as claims:
                self._on_claimed(claims, limit)
            case FinalizeRuns(batch), FinalizeAnswer() as stored:
                self._on_stored(batch, stored)
            case RenewLeases(held=held), RenewAnswer() as renewed:
                self._on_renewed(held, renewed)
            case RescueRuns(), list() as rescued:
                self._rescues.asked_s = None
                for one in rescued:
                    tell_rescued(self._telemetry, one)
            case ListQueues(), list() as found:
                self._queue_list.asked_s = None
                self._queues = tuple(str(name) for name in found if name not in self._config.exclude_queues)
                self._claims.next_s = min(self._claims.next_s, self._monotonic())
            case AskWorkLeft(), bool() as left:
                self._work_check = Duty(next_s=float("inf"))
                if not left and not self._ledger.unstored:
                    self.drain()

    def _on_registered(self, uuid: str | None) -> None:
        now = self._monotonic()
        self._registration.asked_s = None
        if uuid is not None:
            self._registered = True
            self._telemetry.emit(
                "worker.started",
                worker=self._row.worker_id,
                queues=",".join(self._row.queues),
                executor=self._row.executor,
                concurrency=self._row.concurrency,
                installation=uuid,
            )
            return
        self._refused_since = self._refused_since or now
        if now - self._refused_since > 2 * self._config.lease:
            raise ConfigurationError(
                f"another living worker bears the id {self._row.worker_id}; give this one another --worker-id"
            )
        self._registration.next_s = now + self._config.heartbeat
        self._telemetry.emit("worker.id_taken", worker=self._row.worker_id, next="asking again until it is stale")

    def _on_claimed(self, answer: ClaimAnswer, limit: int) -> None:
        now = self._monotonic()
        self._claims.asked_s = None
        waits = [self._config.poll_interval]
        if answer.next_due_seconds is not None:
            waits.append(max(answer.next_due_seconds, 0.0) + 0.001)
        self._claims.next_s = now if len(answer.claimed) == limit else now + min(waits)
        for claimed in answer.claimed:
            self._start(claimed)
        if self._burst and not answer.claimed and not self._ledger.unstored:
            self._work_check.next_s = now

    def _start(self, claimed: Claimed) -> None:
        if self._drain_deadline is not None:
            self._ledger.settle(claimed, Release("the worker is draining", started=False))
            return
        self._executor.submit(self._ledger.start(claimed), claimed.payload)
        self._telemetry.emit(
            "run.claimed",
            id=claimed.claim.run_id,
            task=claimed.payload.task_path,
            attempt=claimed.claim.attempt,
            waited_seconds=claimed.waited_seconds,
        )

    def _on_stored(self, batch: tuple[Finalisation, ...], answer: FinalizeAnswer) -> None:
        self._finalising = False
        for item in batch:
            key = (item.run_id, item.token)
            self._ledger.ending.pop(key, None)
            if key in answer.refused:
                then = "it is stored as failed" if key in answer.stored else "its lease brings it back"
                self._telemetry.emit("run.return_refused", id=key[0], reason=answer.refused[key], next=then)
            elif key in answer.stored:
                tell_end(self._telemetry, item)
            else:
                tell_discarded(self._telemetry, key[0], "its claim had passed to another")

    def _on_renewed(self, held: tuple[Key, ...], answer: RenewAnswer) -> None:
        now = self._monotonic()
        prompt = now - (self._renewals.asked_s or now) <= self._config.heartbeat
        if not prompt or self._contact_since is None:
            self._contact_since = now
        self._renewals.asked_s = None
        if not answer.registered:
            self._registered, self._registration.next_s = False, now
        for key in held:
            cancel = answer.ours.get(key)
            if key in self._ledger.running and cancel is None:
                self._ledger.lose(key)
                self._executor.stop(key, Release("lease lost", started=True))
                self._telemetry.emit("run.lease_lost", id=key[0], next="its child is killed, its outcome discarded")
            elif key in self._ledger.running and cancel:
                why = Failure(Kind.CANCELLED, "reproq.errors.RunCancelled", "cancelled while it ran")
                self._executor.stop(key, why)

    # -- requests to the store ----------------------------------------------------------------------------------------

    def _ask(self) -> None:
        now = self._monotonic()
        if not self._registered:
            if self._registration.is_due(now):
                self._send(self._registration, Register(self._row, self._config.lease), now)
            return
        if self._renewals.is_due(now):
            self._renewals.next_s = now + self._config.heartbeat
            self._send(self._renewals, self._renewal(), now)
        if self._ledger.ending and not self._finalising:
            self._finalising = True
            self._store.submit(FinalizeRuns(tuple(self._ledger.ending.values())[:MAX_FINALIZE_BATCH]))
        if self._rescues.is_due(now):
            self._rescues.next_s = now + self._config.lease / 3
            if self._contact_since is not None and now - self._contact_since >= self._config.lease:
                self._send(self._rescues, RescueRuns(self._config.lease), now)
        if self._work_check.is_due(now):
            queues = None if self._serves_all else self._queues
            self._send(self._work_check, AskWorkLeft(queues, BURST_HORIZON_SECONDS), now)
        if self._may_claim():
            self._ask_for_runs(now)

    def _ask_for_runs(self, now: float) -> None:
        if self._serves_all and self._queue_list.is_due(now):
            self._queue_list.next_s = now + QUEUE_REFRESH_SECONDS
            self._send(self._queue_list, ListQueues(), now)
        if self._claims.is_due(now) and self._queues:
            claim = ClaimRuns(
                queues=self._queues,
                limit=self._row.concurrency - len(self._ledger.running),
                token=self._draw_token(),
                worker_id=self._row.worker_id,
                lease_seconds=self._config.lease,
            )
            self._send(self._claims, claim, now)

    def _send(self, duty: Duty, request: Request, now: float) -> None:
        duty.asked_s = now
        self._store.submit(request)

    def _renewal(self) -> RenewLeases:
        return RenewLeases(
            worker_id=self._row.worker_id,
            held=self._ledger.held,
            lease_seconds=self._config.lease,
            draining=self._drain_deadline is not None,
        )

    @property
    def _serves_all(self) -> bool:
        return self._config.queues == ALL_QUEUES

    def _may_claim(self) -> bool:
        return (
            self._registered
            and self._drain_deadline is None
            and self._executor.ready
            and len(self._ledger.running) < self._row.concurrency
            and len(self._ledger.ending) < MAX_ENDING
        )

    def _enforce_drain(self) -> None:
        if self._drain_deadline is None or self._killed_at_drain or self._monotonic() < self._drain_deadline:
            return
        self._killed_at_drain = True
        for key in self._ledger.running:
            self._executor.stop(key, Release("the worker was stopped before it ended", started=True))

    def _tell_notices(self) -> None:
        for text in self._executor.take_notices():
            self._telemetry.emit("executor.notice", text=text)
        for text in self._store.take_notices():
            self._telemetry.emit("database.notice", text=text)
