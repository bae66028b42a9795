"""What must be true of every commit: pure functions from what a run was, what it is and who did it, to a violation.

They know the state machine's table and the promises of contract 3. They refuse to know how a worker decides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from reproq.lifecycle import TRANSITIONS, Kind, Status


class Rule(StrEnum):
    """The promises, one line each."""

    LEGAL = "a run goes only where the state machine lets it go"
    FINISHED = "finished runs never change"
    ONCE = "an attempt is finalised at most once"
    FENCE = "a late writer changes no row"
    LEASE = "nobody ends the claim of another before its lease has run out"
    COUNTED = "attempts are the claims that were not taken back, and the claim counts them"
    BOUNDED = "failures and releases stay within their bounds, and the bound ends the run"
    DURABLE = "a crash of the database forgets claims, and nothing else"
    DUE = "nothing is claimed before it is due"
    RESCUED = "no claim outlives its lease while a worker lives"
    LOOP = "the loop raises nothing"
    ENDS = "when faults stop, every run finishes"


class Interrupted(BaseException):
    """Ends what is under way from outside. No Exception: the code under test must not be able to catch it."""


class Violation(Interrupted):
    """A rule was broken."""

    def __init__(self, rule: Rule, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Actor:
    """Who commits: one life of a worker's process, or people and producers (`serial` 0)."""

    name: str
    serial: int


PEOPLE: Final = Actor("people", 0)


@dataclass(frozen=True, slots=True)
class Row:
    """A run, as `runs.sql` reads it."""

    id: int
    status: str
    attempts: int
    worker_ids: list[str]
    failures: int
    max_attempts: int
    releases: int
    token: int | None
    worker_id: str | None
    lease_expires_at: datetime | None
    due_at: datetime
    finished_at: datetime | None
    return_json: str | None
    errors: int
    kind: str | None
    message: str | None
    waiting_reason: str | None
    image: str

    @property
    def is_finished(self) -> bool:
        return Status(self.status).is_finished

    @property
    def observable(self) -> str:
        """Everything but the image, which new columns change."""
        return " ".join(str(getattr(self, name)) for name in self.__slots__ if name != "image")


@dataclass(frozen=True, slots=True)
class Holding:
    """One claim that was committed: the how-manieth of the history it is, and whose."""

    serial: int
    holder: Actor


@dataclass(frozen=True, slots=True)
class Known:
    """What the rules know of one run besides its row."""

    claims: int = 0
    """Claims that were not taken back."""
    forgiven: int = 0
    """Attempts that ended before a manual retry, which sets failures back to zero."""
    held: Holding | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds that every worker of the history was given."""

    max_releases: int


LEGAL: Final = frozenset(
    {(before.value, after.value) for (before, _), after in TRANSITIONS.items()}
    | {(Status.SCHEDULED.value, Status.RUNNING.value)}  # promoted and claimed in one commit
)
_EXECUTION: Final = re.compile(r"execution (\d+)")


def told_by(serial: int) -> str:
    """The text by which the end of an execution names the claim that it belongs to."""
    return f"execution {serial}"


def check_new(new: Row, actor: Actor) -> None:
    """A run that was not there before."""
    if actor != PEOPLE or new.status not in (Status.READY, Status.SCHEDULED) or new.attempts:
        raise Violation(Rule.LEGAL, f"{actor.name} made run {new.id} as {new.status} with {new.attempts} attempts")


def check(old: Row, new: Row, known: Known, actor: Actor, now: datetime, bounds: Bounds) -> None:
    """Everything that a change of one run must keep. `now` is what the transaction took for the time."""
    change = f"{actor.name} made run {new.id}, {old.status}, {new.status}"
    if old.is_finished and (actor != PEOPLE or (old.status, new.status) not in LEGAL):
        raise Violation(Rule.FINISHED, change)
    if old.status != new.status and (old.status, new.status) not in LEGAL:
        raise Violation(Rule.LEGAL, change)
    if old.status == Status.RUNNING == new.status:
        _check_held(old, new, known, actor)
    elif new.status == Status.RUNNING:
        _check_claim(old, new, actor, now)
    elif old.status == Status.RUNNING:
        _check_end(old, new, known, actor, now)
    _check_counters(new, bounds)


def _check_held(old: Row, new: Row, known: Known, actor: Actor) -> None:
    if new.token != old.token or new.worker_ids != old.worker_ids:
        raise Violation(Rule.FENCE, f"{actor.name} took run {new.id} over while it was RUNNING for {old.worker_id}")
    if new.lease_expires_at == old.lease_expires_at:
        return
    if known.held is None or actor != known.held.holder:
        raise Violation(Rule.FENCE, f"{actor.name} renewed the lease of run {new.id}, which {_holder(known)} holds")


def _check_claim(old: Row, new: Row, actor: Actor, now: datetime) -> None:
    if actor == PEOPLE:
        raise Violation(Rule.LEGAL, f"people claimed run {new.id}")
    if new.attempts != old.attempts + 1 or new.worker_ids != [*old.worker_ids, new.worker_id]:
        raise Violation(
            Rule.COUNTED, f"{actor.name} claimed run {new.id}: {old.attempts} attempts before, {new.attempts} after"
        )
    if old.due_at > now:
        raise Violation(Rule.DUE, f"{actor.name} claimed run {new.id} at {now:%X}, due at {old.due_at:%X}")


def _check_end(old: Row, new: Row, known: Known, actor: Actor, now: datetime) -> None:
    has_new_error = (new.errors, new.message) != (old.errors, old.message)
    has_new_reason = new.waiting_reason != old.waiting_reason
    texts = (new.return_json, has_new_error and new.message, has_new_reason and new.waiting_reason)
    said = _EXECUTION.search(" ".join(text for text in texts if text))
    if said and known.held and int(said[1]) != known.held.serial:
        raise Violation(Rule.FENCE, f"{actor.name} stored the end of {said[0]} over the claim of {_holder(known)}")
    is_rescued = new.errors > old.errors and new.kind == Kind.LEASE_EXPIRED
    if is_rescued or known.held is None or actor != known.held.holder:
        assert old.lease_expires_at is not None, "the table's constraint"  # noqa: S101
        if old.lease_expires_at >= now:
            left = (old.lease_expires_at - now).total_seconds()
            raise Violation(
                Rule.LEASE, f"{actor.name} ended the claim of {_holder(known)} on run {new.id} {left:g} s early"
            )
    moved = (new.failures - old.failures, new.releases - old.releases, old.attempts - new.attempts)
    if sorted(moved) not in ([0, 0, 0], [0, 0, 1]):
        raise Violation(Rule.COUNTED, f"{actor.name} ended run {new.id} and counted failure, release, undo as {moved}")
    if (new.status == Status.SCHEDULED) and moved[0] and new.failures >= new.max_attempts:
        raise Violation(
            Rule.BOUNDED, f"run {new.id} is tried again after {new.failures} failures of {new.max_attempts}"
        )


def _check_counters(new: Row, bounds: Bounds) -> None:
    if new.failures > new.max_attempts or new.releases > bounds.max_releases:
        raise Violation(
            Rule.BOUNDED,
            f"run {new.id} has {new.failures} failures of {new.max_attempts} and {new.releases} releases of "
            f"{bounds.max_releases}",
        )


def check_count(new: Row, known: Known) -> None:
    """The counters of a run against the claims that were seen."""
    if new.attempts != known.claims or new.attempts != len(new.worker_ids):
        raise Violation(Rule.COUNTED, f"run {new.id} says {new.attempts} attempts after {known.claims} claims")
    uncounted = new.attempts - new.failures - known.forgiven - new.releases
    if not 0 <= uncounted <= 1:
        raise Violation(
            Rule.COUNTED,
            f"run {new.id} has {new.attempts} attempts, {known.forgiven} forgiven, {new.failures} failures, "
            f"{new.releases} releases: all but one attempt must have ended as one of these",
        )


def check_forgotten(before: Mapping[int, Row], after: Mapping[int, Row]) -> None:
    """What a crash of the database took back: claims (and what made their runs READY), and nothing else."""
    for old in before.values():
        new = after.get(old.id)
        if (
            new is None
            or (old.is_finished and new.image != old.image)
            or (old.errors, old.failures) != (new.errors, new.failures)
        ):
            raise Violation(Rule.DURABLE, f"the crash forgot the end of run {old.id}, {old.status}")


def _holder(known: Known) -> str:
    return f"{known.held.holder.name} (execution {known.held.serial})" if known.held else "nobody"
