"""What the loop asks of the database: one value a question, one transaction each, `run` answers it.

A claim never shares a transaction with anything that must be durable: its commit is asynchronous.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Final

from reproq.lifecycle import Key
from reproq.store import claims, queues, rescues, workers
from reproq.store.claims import Claimed
from reproq.store.db import Database
from reproq.store.ends import FinalizeAnswer, parts, store_ends
from reproq.store.finalising import Finalisation
from reproq.store.holders import AskHolders, Holder
from reproq.store.periodic import BeatAnswer, FirePeriodicTasks, PruneTicks, RefillLists
from reproq.store.rescues import RescueAnswer, RescueRuns
from reproq.store.retention import PruneAnswer, PruneRuns
from reproq.store.workers import WorkerRow

Clock = datetime | None
"""The time the statements take: None is the database's own."""

ASKED_LONG_AGO: Final = float("-inf")
"""`asked_s` is when the loop asked, by its own clock: it comes back with the answer, and nobody here reads it."""


@dataclass(frozen=True, slots=True)
class Register:
    """Write the worker's row; answers the installation's uuid, or who bears the id where that is alive elsewhere."""

    worker: WorkerRow
    stale_after_seconds: float

    def run(self, database: Database, now: Clock) -> str | workers.Bearer:
        with database.transaction() as cursor:
            uuid = workers.installation(cursor)
            workers.forget_the_dead(cursor, now)
            if workers.register(cursor, self.worker, self.stale_after_seconds, now):
                return uuid
            return workers.bearer(cursor, self.worker.worker_id)


@dataclass(frozen=True, slots=True)
class Deregister:
    """Take the worker's row away, if it is still its own."""

    worker: WorkerRow

    def run(self, database: Database, now: Clock) -> None:
        with database.statement() as cursor:
            workers.deregister(cursor, self.worker)


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """The claimed runs, how many were promoted before (None: that was not asked), and the seconds until the next
    scheduled run falls due.

    `began_s` is this host's CLOCK_MONOTONIC when the transaction began, whose now() the waits of the runs end at."""

    claimed: list[Claimed]
    promoted: int | None
    next_due_seconds: float | None
    began_s: float = 0.0
    took_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRuns:
    """Claim, in one round trip. First promote what is due, where something is known to be: that takes another.

    Each try draws a token of its own: an earlier one, whose connection was given up, may still be on its way, and what
    it claims when it arrives must not bear the token of what was claimed since. And each looks first for what earlier
    ones have claimed without our hearing of it, and gives that back.
    """

    queues: tuple[str, ...]
    limit: int
    draw_token: Callable[[], int]
    worker_id: str
    lease_seconds: float
    unknown_paths: tuple[str, ...] = ()
    promotes: bool = True
    asked_s: float = ASKED_LONG_AGO
    _tried: list[int] = field(default_factory=list, init=False, compare=False)  # tokens of tries without an answer

    def run(self, database: Database, now: Clock) -> ClaimAnswer:
        if self._tried:
            with database.transaction() as cursor:
                rescues.give_back_unheard(cursor, self.worker_id, self._tried, now)
        self._tried.append(self.draw_token())
        asked_s = time.monotonic()
        promoted = None
        if self.promotes:
            with database.statement() as cursor:
                promoted = claims.promote(cursor, now=now)
        began_s = time.monotonic()
        with database.statement() as cursor:
            claimed = claims.claim(
                cursor,
                queues=self.queues,
                limit=self.limit,
                token=self._tried[-1],
                worker_id=self.worker_id,
                lease_seconds=self.lease_seconds,
                unknown_paths=self.unknown_paths,
                now=now,
            )
        if claimed:
            next_due = claimed[0].next_due_seconds
        else:  # no row that could have told it, and nothing that would wait for another round trip
            with database.statement() as cursor:
                next_due = queues.next_due_seconds(cursor, now)
        return ClaimAnswer(claimed, promoted, next_due, began_s, time.monotonic() - asked_s)


@dataclass(frozen=True, slots=True)
class FinalizeRuns:
    """Store the ends of claims. A batch refused for one row is halved until that row stands alone.

    Each part commits by itself, so that neither a bad row nor a few large ones hold up the rest. Asked again (and so is
    what was held up, `tried_before`), it looks for what an earlier try has stored without our hearing of it.
    """

    batch: tuple[Finalisation, ...]
    worker_id: str
    tried_before: bool = False
    _tries: Iterator[int] = field(default_factory=count, init=False, compare=False)

    def run(self, database: Database, now: Clock) -> FinalizeAnswer:
        is_repeated = next(self._tries) > 0 or self.tried_before
        answer = FinalizeAnswer()
        for part in parts(self.batch):
            store_ends(database, part, now, answer)
        settled = answer.stored.keys() | answer.held_up
        if is_repeated and (missed := [item for item in self.batch if item.key not in settled]):
            with database.statement() as cursor:
                ended = rescues.ended_before(cursor, self.worker_id, missed)
            answer.stored.update({item.key: item.verdict.status for item in missed if item.key in ended})
        return answer


@dataclass(frozen=True, slots=True)
class RenewAnswer:
    """The claims that are still ours, each with whether to cancel it; since when the server runs that said so, None
    when the worker's row was not there; and which of them were not extended, since somebody holds their rows."""

    ours: dict[Key, bool]
    server_began: datetime | None
    held_up: frozenset[Key] = frozenset()

    @property
    def registered(self) -> bool:
        return self.server_began is not None


@dataclass(frozen=True, slots=True)
class RenewLeases:
    """The heartbeat: extend the leases of everything held, and say that the worker lives."""

    worker: WorkerRow
    held: tuple[Key, ...]
    lease_seconds: float
    draining: bool
    asked_s: float = ASKED_LONG_AGO

    def run(self, database: Database, now: Clock) -> RenewAnswer:
        with database.transaction() as cursor:
            extended = claims.renew(cursor, self.held, self.lease_seconds, now)
            others = claims.still_ours(cursor, [key for key in self.held if key not in extended])
            began = workers.heartbeat(cursor, self.worker, self.draining, now)
            return RenewAnswer(extended | others, began, frozenset(others))


@dataclass(frozen=True, slots=True)
class AskCancelled:
    """Which of these claims are to be stopped, because somebody wants their runs cancelled."""

    held: tuple[Key, ...]

    def run(self, database: Database, now: Clock) -> list[Key]:
        with database.statement() as cursor:
            return claims.cancel_requested(cursor, self.held)


@dataclass(frozen=True, slots=True)
class ListQueues:
    """The names of the queues that hold READY runs."""

    def run(self, database: Database, now: Clock) -> list[str]:
        with database.statement() as cursor:
            return queues.ready_queues(cursor)


@dataclass(frozen=True, slots=True)
class SayIdle:
    """Producers are to wake the worker for these queues, or (none) not to. A claim behind it sees whatever they have
    committed before they could know."""

    worker: WorkerRow
    queues: tuple[str, ...]

    def run(self, database: Database, now: Clock) -> None:
        with database.statement() as cursor:
            workers.say_idle(cursor, self.worker, self.queues)


@dataclass(frozen=True, slots=True)
class AskWorkLeft:
    """Whether these queues (None: all but the excluded) hold anything READY, or due within the horizon."""

    queues: tuple[str, ...] | None
    horizon_seconds: float
    excluded: tuple[str, ...] = ()

    def run(self, database: Database, now: Clock) -> bool:
        with database.transaction() as cursor:
            return queues.work_left(cursor, self.queues, self.horizon_seconds, self.excluded, now)


Request = (
    Register
    | Deregister
    | ClaimRuns
    | FinalizeRuns
    | RenewLeases
    | AskCancelled
    | AskHolders
    | RescueRuns
    | ListQueues
    | SayIdle
    | AskWorkLeft
    | PruneRuns
    | FirePeriodicTasks
    | RefillLists
    | PruneTicks
)
Result = (
    str
    | workers.Bearer
    | None
    | ClaimAnswer
    | FinalizeAnswer
    | RenewAnswer
    | list[Key]
    | dict[int, Holder]
    | RescueAnswer
    | list[str]
    | bool
    | PruneAnswer
    | BeatAnswer
    | int
)


def takes_in(request: Request) -> bool:
    """Whether it is asked to find work. Such requests keep their order among themselves (what is said of being idle is
    committed before the claim behind it looks, and so are ticks), and so do all others: a rescue comes after the
    renewals before it."""
    schedules = FirePeriodicTasks | RefillLists | PruneTicks
    return isinstance(request, ClaimRuns | ListQueues | SayIdle | AskWorkLeft | schedules)


@dataclass(frozen=True, slots=True)
class Answer:
    """A request and its result. `error` is set when the request can never succeed; the loop raises it."""

    request: Request
    result: Result = None
    error: Exception | None = None
