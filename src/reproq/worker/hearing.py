"""What the answers of the store change: each goes to the part of the worker that asked, and to those whom it concerns.

It refuses to know when something is asked (that is the loop), and how the store answers.
"""

from dataclasses import dataclass

from reproq.executors import Executor
from reproq.lifecycle import Key, Kind, Release, failure_of_kind
from reproq.scheduler.ticking import Ticking
from reproq.store.claims import Claimed
from reproq.store.ends import FinalizeAnswer
from reproq.store.finalising import Finalisation
from reproq.store.holders import AskHolders
from reproq.store.periodic import BeatAnswer, FirePeriodicTasks, PruneTicks, RefillLists
from reproq.store.requests import (
    Answer,
    AskCancelled,
    AskWorkLeft,
    ClaimAnswer,
    ClaimRuns,
    FinalizeRuns,
    ListQueues,
    Register,
    RenewAnswer,
    RenewLeases,
)
from reproq.store.rescues import RescueAnswer, RescueRuns
from reproq.store.retention import PruneAnswer, PruneRuns
from reproq.store.workers import Bearer
from reproq.telemetry.events import Telemetry
from reproq.worker.control import Control
from reproq.worker.drain import Drain
from reproq.worker.figures import Figures
from reproq.worker.held_up import HeldUp
from reproq.worker.intake import Intake
from reproq.worker.ledger import Ledger
from reproq.worker.presence import Presence
from reproq.worker.pruning import Pruning
from reproq.worker.tell import tell_claimed, tell_rescued, tell_stored
from reproq.worker.tether import CLAIMED_TOO_LATE, Tether
from reproq.worker.wakeups import Wakeups


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """Whom answers concern: the parts of one worker, which it shares with the loop."""

    executor: Executor
    telemetry: Telemetry
    figures: Figures
    ledger: Ledger
    presence: Presence
    intake: Intake
    wakeups: Wakeups
    control: Control
    pruning: Pruning
    ticking: Ticking
    drain: Drain
    tether: Tether
    held_up: HeldUp
    burst: bool

    def hear(self, answer: Answer, now: float) -> None:
        """One answer, heard at `now` (CLOCK_MONOTONIC). Raises what the store could not mend."""
        if answer.error is not None:
            raise answer.error
        match answer.request, answer.result:
            case Register(), str() | Bearer() as standing:
                self.presence.on_registered(standing, now)
                self.wakeups.forget()
            case ClaimRuns() as asked, ClaimAnswer() as claims:
                self._claimed(asked, claims, now)
            case FinalizeRuns(batch), FinalizeAnswer() as stored:
                self.stored(batch, stored, now)
            case RenewLeases(held=held, asked_s=asked_s), RenewAnswer() as renewed:
                self.presence.on_renewed(renewed, now)
                extended = renewed.ours.keys() - renewed.held_up
                self.tether.renewed(extended, asked_s)
                self.held_up.over(extended, now)
                self.held_up.passed_over(renewed.held_up, now)
                self._renewed(held, renewed, now)
            case AskHolders(held), dict() as holders:
                self.held_up.on_holders(held, holders)
            case AskCancelled(), list() as cancelled:
                self.control.on_answer()
                for key in cancelled:
                    self._cancel(key)
            case RescueRuns(), RescueAnswer() as answered:
                self.presence.on_rescued(answered, now)
                for one in answered.rescued:
                    tell_rescued(self.telemetry, one)
            case PruneRuns(), PruneAnswer() as pruned:
                self.pruning.on_pruned(pruned, now)
            case ListQueues(), list() as names:
                self.intake.on_queues(names, now)
            case FirePeriodicTasks() | RefillLists() | PruneTicks(), BeatAnswer() | int() as told:
                for name in self.ticking.hear(told, now):
                    self.intake.wake(name, now)
            case AskWorkLeft(), left:
                self.intake.on_work_left()
                if not left and not self.ledger.unstored:
                    self.drain.begin(now, 0.0)  # the burst is over

    def stored(self, batch: tuple[Finalisation, ...], answer: FinalizeAnswer, now: float) -> None:
        """What became of ends that were to be stored."""
        self.ledger.stored(batch, answer.held_up, now)
        self.held_up.passed_over(answer.held_up, now)
        written = [item for item in batch if item.key not in answer.held_up] if answer.held_up else batch
        self.held_up.over((item.key for item in written), now)
        for item in written:
            tell_stored(self.telemetry, item, answer)

    def _claimed(self, asked: ClaimRuns, answer: ClaimAnswer, now: float) -> None:
        self.intake.on_claimed(answer, asked.limit, now)
        if (again_seconds := self.wakeups.after_claim(len(answer.claimed), now)) is not None:
            self.intake.claim_again(now, again_seconds)
        for claimed in answer.claimed:
            self._start(claimed, asked.asked_s, now)
        self.figures.claimed(answer, self.ledger.running)
        if self.burst and not answer.claimed and not self.ledger.unstored:
            self.intake.check_work_left(now)

    def _start(self, claimed: Claimed, asked_s: float, now: float) -> None:
        if (refusal := self.intake.refusal(claimed, len(self.ledger.running), now)) is not None:
            self.ledger.settle(claimed, refusal)
        elif self.drain.under_way:
            self.ledger.settle(claimed, Release("the worker is draining", started=False))
        elif claimed.must_not_overlap and not self.tether.hold(claimed.claim.key, asked_s, now):
            self.ledger.settle(claimed, CLAIMED_TOO_LATE)
            self.intake.look_again(now)
        else:
            if not self.ledger.running:
                self.control.wait(now)
            self.executor.submit(self.ledger.start(claimed), claimed.payload)
            tell_claimed(self.telemetry, claimed)

    def _renewed(self, held: tuple[Key, ...], answer: RenewAnswer, now: float) -> None:
        for key in held:
            if key not in self.ledger.running:
                continue  # it ended while we asked; the finalise will be told whether it was still ours
            if (cancel := answer.ours.get(key)) is None:
                must_go = self.ledger.running[key].must_not_overlap  # somebody else may have begun it already
                self.ledger.lose(key)
                self.tether.let_go(key)
                self.held_up.over((key,), now, free=False)
                self.executor.stop(key, Release("lease lost", started=True), 0.0 if must_go else None)
                self.telemetry.emit("run.lease_lost", id=key[0], next="its child is killed, its outcome discarded")
            elif cancel:
                self._cancel(key)

    def _cancel(self, key: Key) -> None:
        """Somebody wants the run cancelled; it may have ended meanwhile, and then that is its end."""
        self.executor.stop(key, failure_of_kind(Kind.CANCELLED, "cancelled by request while it ran, and stopped"))
