"""The worker's standing with the database: registered, seen, its leases renewed, and allowed to rescue others' runs."""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from reproq.config import Config
from reproq.errors import ConfigurationError
from reproq.lifecycle import Key
from reproq.store.requests import Register, RenewAnswer, RenewLeases, Request
from reproq.store.rescues import RESCUE_LIMIT, RefusedRescue, RescueAnswer, RescueRuns
from reproq.store.workers import Bearer, WorkerRow
from reproq.telemetry.events import Telemetry
from reproq.worker.duty import Duty
from reproq.worker.ledger import Ledger
from reproq.worker.tell import tell_rescue_refused

SPREAD_SECONDS: Final = 1.0
"""Rescuers that wait for the same lease come within this time after its end, not all at once."""
HELD_SECONDS: Final = 3.0
"""When a lease that has ended long since could not be rescued, another worker does it, or somebody holds the row: its
own worker, which looks more often, shall have it when it is free."""
LONG_SINCE_SECONDS: Final = 1.0
SOON_SECONDS: Final = 1.0
"""When to renew again what a renewal had to pass over. All else keeps its heartbeat: a row may be held for hours."""
MAX_TOLD: Final = 1000
"""Claims whose refused rescue was told of and is not told again; of more, the oldest are forgotten."""


class Presence:
    """Registers, renews, and rescues only after one whole lease of unbroken contact: after an outage every living
    worker must renew first, or its runs would be taken from it for being slow to come back.

    So a rescue is asked only while no renewal is unanswered, and what was asked before an outage is void after it.
    """

    def __init__(
        self,
        config: Config,
        row: WorkerRow,
        telemetry: Telemetry,
        draw_fraction: Callable[[], float],
        *,
        rescues: bool = True,
    ) -> None:
        self._rescues_others = rescues
        self.registered = False
        self._has_begun = False
        self._config = config
        self._row = row
        self._telemetry = telemetry
        self._draw_fraction = draw_fraction
        self._registration = Duty()
        self._renewals = Duty()
        self._passed_over: frozenset[Key] = frozenset()
        self._soon_s = math.inf  # when to renew those by themselves
        self._rescues = Duty()
        self._contact_since: float | None = None
        self._renewed_s: float | None = None
        self._server_began: datetime | None = None
        self._refused_since: float | None = None
        self._refused_rescues: dict[Key, None] = {}  # those that were told, in the order in which they were

    @property
    def may_have_row(self) -> bool:
        """Whether this worker's row is in the database, or is on its way there."""
        return self.registered or self._registration.asked_s is not None

    def moments(self) -> Iterator[float]:
        """When `requests` next has something to ask."""
        duties = []
        if not self.registered:
            duties.append(self._registration)
        if self._has_begun:
            duties.append(self._renewals)
            if self._renewals.asked_s is None:
                yield self._soon_s
        if self._may_rescue:
            duties.append(self._rescues)
        yield from (duty.next_s for duty in duties if duty.asked_s is None)

    @property
    def _may_rescue(self) -> bool:
        """Whether the last thing we know of the database is that it answers."""
        return self._rescues_others and self.registered and self._renewals.asked_s is None

    def requests(self, now: float, ledger: Ledger, draining: bool) -> Iterator[Request]:
        """What is due, in the order in which it matters."""
        if not self.registered and self._registration.is_due(now):
            self._registration.asked_s = now
            yield Register(self._row, self._config.lease)
        if self._has_begun and (held := self._to_renew(now, ledger)) is not None:
            yield RenewLeases(self._row, held=held, lease_seconds=self._config.lease, draining=draining, asked_s=now)
        if self._may_rescue and self._rescues.is_due(now):
            in_contact_s = 0.0 if self._contact_since is None else now - self._contact_since
            if in_contact_s >= self._config.lease:
                self._rescues.asked_s = now
                yield RescueRuns(self._config.lease, patience_seconds=self._config.heartbeat)
            else:
                self._rescues.next_s = now + self._config.lease - in_contact_s

    def _to_renew(self, now: float, ledger: Ledger) -> tuple[Key, ...] | None:
        """What is to be renewed now: everything (that may be nothing) at a heartbeat, also while the worker's row is
        gone, since leases hang on no row; what was passed over in between; None for no renewal."""
        if self._renewals.is_due(now):
            self._renewals.ask(now, self._config.heartbeat)
            return ledger.held
        if self._renewals.asked_s is not None or now < self._soon_s:
            return None
        self._soon_s = math.inf
        if not (held := tuple(key for key in ledger.held if key in self._passed_over)):
            return None
        self._renewals.asked_s = now
        return held

    def on_registered(self, told: str | Bearer, now: float) -> None:
        """The row is written, told is the installation; or another living worker bears the id. Raises
        ConfigurationError when that one stays."""
        self._registration.asked_s = None
        if isinstance(told, Bearer):
            self._wait_for(told, now)
            return
        self.registered = self._has_begun = True
        self._refused_since = None
        self._tell_started(told)

    def _wait_for(self, bearer: Bearer, now: float) -> None:
        """Ask for the id again, for two leases: who bears it may be dead, and stale after one."""
        longest_seconds = 2 * self._config.lease
        if self._refused_since is None:
            self._refused_since = now
            self._telemetry.emit(
                "worker.id_taken",
                worker=self._row.worker_id,
                by_host=bearer.hostname,
                by_pid=bearer.pid,
                next=f"asking again for {longest_seconds:g} s at most, until it is stale",
            )
        if now - self._refused_since > longest_seconds:
            raise ConfigurationError(
                f"another living worker bears the id {self._row.worker_id}; give this one another --worker-id, or stop "
                f"that one (pid {bearer.pid} on {bearer.hostname})"
            )
        self._registration.next_s = now + self._config.heartbeat

    def on_renewed(self, answer: RenewAnswer, now: float) -> None:
        """Contact is unbroken while renewals succeed within two heartbeats of one another, by one server. Counted from
        answer to answer, so that a worker that was itself stopped for a while has lost contact, too. And a server that
        was started, or a standby that was promoted, is one that others may not have found yet."""
        if self._renewed_s is None or now - self._renewed_s > 2 * self._config.heartbeat or self._is_another(answer):
            self._contact_since = now
        self._renewed_s = now
        self._server_began = answer.server_began or self._server_began
        self._renewals.asked_s = None
        self._passed_over = answer.held_up
        self._soon_s = now + SOON_SECONDS if answer.held_up else math.inf
        if self.registered and not answer.registered:
            self.registered, self._registration.next_s = False, now

    def _is_another(self, answer: RenewAnswer) -> bool:
        """Whether another server answered than the last time."""
        return None not in (answer.server_began, self._server_began) and answer.server_began != self._server_began

    def on_rescued(self, answer: RescueAnswer, now: float) -> None:
        """A full batch means that there is more; else look again when the next lease ends. Living workers renew theirs
        long before, so that this is seldom: a lease that is claimed meanwhile does not end before ours would."""
        self._rescues.asked_s = None
        self._tell_refused(answer.refused)
        if len(answer.rescued) >= RESCUE_LIMIT:
            self._rescues.next_s = now
            return
        soonest = self._config.lease if answer.soonest_seconds is None else answer.soonest_seconds
        wait_seconds = HELD_SECONDS if soonest < -LONG_SINCE_SECONDS else max(0.0, min(soonest, self._config.lease))
        self._rescues.next_s = now + wait_seconds + SPREAD_SECONDS * self._draw_fraction()

    def _tell_refused(self, refused: Iterable[RefusedRescue]) -> None:
        """Once a claim, though it is tried again every few seconds, and now and then by another worker."""
        for one in refused:
            if one.claim.key not in self._refused_rescues:
                self._refused_rescues[one.claim.key] = None
                tell_rescue_refused(self._telemetry, one)
        while len(self._refused_rescues) > MAX_TOLD:
            del self._refused_rescues[next(iter(self._refused_rescues))]

    def _tell_started(self, installation: str) -> None:
        row = self._row
        does: dict[str, str | int | float] = {"beat_interval_s": self._config.beat_interval}
        if row.role == "worker":
            does = {"queues": ",".join(row.queues), "executor": row.executor, "concurrency": row.concurrency}
        self._telemetry.emit(f"{row.role}.started", worker=row.worker_id, **does, installation=installation)
