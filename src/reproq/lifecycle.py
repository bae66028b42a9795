"""The state machine, as data: statuses, events, the transitions they allow, and `decide`, the one rule for every end.

Pure. The worker's loop, the rescue of expired leases and the death of a child all ask `decide`; what it answers is
written by one statement, `finalize.sql`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from reproq.backoff import retry_delay

DEFAULT_MAX_RELEASES: Final = 20
UNKNOWN_TASK_GRACE_SECONDS: Final = 24 * 3600.0
UNKNOWN_TASK_MIN_DELAY_SECONDS: Final = 5.0
UNKNOWN_TASK_MAX_DELAY_SECONDS: Final = 300.0


class Status(StrEnum):
    """Where a run stands. Django sees the first three as READY, and CANCELLED as FAILED."""

    WAITING = "WAITING"  # on another run
    SCHEDULED = "SCHEDULED"  # not due yet
    READY = "READY"
    RUNNING = "RUNNING"
    SUCCESSFUL = "SUCCESSFUL"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_finished(self) -> bool:
        return self in FINISHED


FINISHED: Final = frozenset({Status.SUCCESSFUL, Status.FAILED, Status.CANCELLED})


class Event(StrEnum):
    """What can happen to a run, one SQL statement each (the ends of a claim share `finalize.sql`)."""

    PROMOTE = "promote"
    CLAIM = "claim"
    RENEW = "renew"
    SUCCEED = "succeed"
    FAIL = "fail"
    RETRY = "retry"
    RELEASE = "release"
    CANCEL = "cancel"
    MANUAL_CANCEL = "manual_cancel"  # by hand: at once before it starts, else its worker is asked to stop it
    MANUAL_RETRY = "manual_retry"  # of a run that failed for good, by hand


TRANSITIONS: Final[dict[tuple[Status, Event], Status]] = {
    (Status.SCHEDULED, Event.PROMOTE): Status.READY,
    (Status.READY, Event.CLAIM): Status.RUNNING,
    (Status.RUNNING, Event.RENEW): Status.RUNNING,
    (Status.RUNNING, Event.SUCCEED): Status.SUCCESSFUL,
    (Status.RUNNING, Event.FAIL): Status.FAILED,
    (Status.RUNNING, Event.RETRY): Status.SCHEDULED,
    (Status.RUNNING, Event.RELEASE): Status.READY,
    (Status.RUNNING, Event.CANCEL): Status.CANCELLED,
    (Status.WAITING, Event.MANUAL_CANCEL): Status.CANCELLED,
    (Status.SCHEDULED, Event.MANUAL_CANCEL): Status.CANCELLED,
    (Status.READY, Event.MANUAL_CANCEL): Status.CANCELLED,
    (Status.RUNNING, Event.MANUAL_CANCEL): Status.RUNNING,
    (Status.FAILED, Event.MANUAL_RETRY): Status.READY,
}
"""Every pair that is not here changes no row. A run whose cancelling was asked for is neither retried nor released:
where it would go back to READY or SCHEDULED, `finalize.sql` makes it CANCELLED, whoever ends its attempt."""


class Kind(StrEnum):
    """The kind of an error, as stored in `task_runs.errors`."""

    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    CHILD_DIED = "child_died"
    BAD_REPLY = "bad_reply"
    LEASE_EXPIRED = "lease_expired"
    RELEASED = "released"
    UNKNOWN_TASK = "unknown_task"
    BAD_RETURN = "bad_return"
    SPEC_TAMPERED = "spec_tampered"
    BAD_SPEC = "bad_spec"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


COUNTED: Final = frozenset(
    {Kind.EXCEPTION, Kind.TIMEOUT, Kind.CHILD_DIED, Kind.BAD_REPLY, Kind.LEASE_EXPIRED, Kind.RELEASED}
)
"""Kinds that count towards `max_attempts` and are retried below it."""

FINAL: Final = frozenset({Kind.BAD_RETURN, Kind.SPEC_TAMPERED, Kind.BAD_SPEC, Kind.CANCELLED, Kind.EXPIRED})
"""Kinds that end the run at once, whatever attempts are left."""


Key = tuple[int, int]
"""`(run_id, token)` names one claim: a worker may hold an expired claim of a run and its next one together."""


class Claim(NamedTuple):
    """What a worker holds of a run while it runs: the fence `(run_id, token)`, and the counters `decide` needs.

    A tuple, as everything that is made for each run: a frozen dataclass takes five times as long to make.
    """

    run_id: int
    token: int
    attempt: int
    failures: int
    releases: int
    max_attempts: int
    spec_hash: str
    backoff_seconds: tuple[float, ...] | None = None
    unknown_for_seconds: float = 0.0

    @property
    def key(self) -> Key:
        return self.run_id, self.token


@dataclass(frozen=True, slots=True)
class Success:
    """The task returned; `return_json` is the text to store."""

    return_json: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The attempt ended badly. `exception_class` is a dotted path; `message` says what happened."""

    kind: Kind
    exception_class: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """The run is given back unfinished: a drain, or lost contact. `started` tells whether its task had begun."""

    reason: str
    started: bool


Outcome = Success | Failure | Release

EXCEPTION_CLASSES: Final[dict[Kind, str]] = {
    Kind.TIMEOUT: "reproq.errors.RunTimedOut",
    Kind.CHILD_DIED: "reproq.errors.ChildDied",
    Kind.BAD_REPLY: "reproq.errors.BadReply",
    Kind.LEASE_EXPIRED: "reproq.errors.LeaseExpired",
    Kind.RELEASED: "reproq.errors.ReleasedTooOften",
    Kind.UNKNOWN_TASK: "reproq.errors.UnknownTask",
    Kind.BAD_RETURN: "reproq.errors.BadReturn",
    Kind.SPEC_TAMPERED: "reproq.errors.SpecTampered",
    Kind.BAD_SPEC: "reproq.errors.BadSpec",
    Kind.CANCELLED: "reproq.errors.RunCancelled",
    Kind.EXPIRED: "reproq.errors.RunExpired",
}
"""The class that is stored for each kind without a Python exception of its own."""


def failure_of_kind(kind: Kind, message: str) -> Failure:
    """A failure that no exception of a task's stands behind."""
    return Failure(kind, EXCEPTION_CLASSES[kind], message)


class Verdict(NamedTuple):
    """What `finalize.sql` writes for one claim. `undo_attempt` takes back an attempt that never started."""

    status: Status
    return_json: str | None = None
    error: Failure | None = None
    delay_seconds: float = 0.0
    counts_failure: bool = False
    counts_release: bool = False
    undo_attempt: bool = False
    waiting_reason: str | None = None


def decide(claim: Claim, outcome: Outcome, *, max_releases: int = DEFAULT_MAX_RELEASES, began: bool = True) -> Verdict:
    """The one rule: what becomes of a run after this end of its attempt.

    `began`: whether its task had begun, where the outcome does not tell.
    """
    match outcome:
        case Success(return_json):
            return Verdict(Status.SUCCESSFUL, return_json)
        case Release(reason, started=False):
            return Verdict(Status.READY, undo_attempt=True, waiting_reason=reason)
        case Release(reason) if claim.releases < max_releases:
            return Verdict(Status.READY, counts_release=True, waiting_reason=reason)
        case Release(reason):
            return _counted(claim, _released_too_often(claim, reason))
        case Failure(kind=Kind.CANCELLED):
            return Verdict(Status.CANCELLED, error=outcome, undo_attempt=not began)
        case Failure(kind=Kind.EXPIRED):
            return Verdict(Status.FAILED, error=outcome, undo_attempt=True)
        case Failure(kind=Kind.UNKNOWN_TASK):
            return _unknown_task(claim, outcome)
        case Failure(kind=kind) if kind in FINAL:
            return Verdict(Status.FAILED, error=outcome)
        case Failure():
            return _counted(claim, outcome)


def _counted(claim: Claim, failure: Failure) -> Verdict:
    failures = claim.failures + 1
    if failures >= claim.max_attempts:
        return Verdict(Status.FAILED, error=failure, counts_failure=True)
    return Verdict(
        Status.SCHEDULED,
        error=failure,
        counts_failure=True,
        delay_seconds=retry_delay(claim.backoff_seconds, failures, claim.spec_hash),
        waiting_reason=f"retry after {failure.kind}, failure {failures} of {claim.max_attempts}",
    )


def _unknown_task(claim: Claim, failure: Failure) -> Verdict:
    if claim.unknown_for_seconds >= UNKNOWN_TASK_GRACE_SECONDS:
        return Verdict(Status.FAILED, error=failure, undo_attempt=True)
    delay = min(max(claim.unknown_for_seconds, UNKNOWN_TASK_MIN_DELAY_SECONDS), UNKNOWN_TASK_MAX_DELAY_SECONDS)
    return Verdict(
        Status.SCHEDULED, error=failure, delay_seconds=delay, undo_attempt=True, waiting_reason=failure.message
    )


def _released_too_often(claim: Claim, reason: str) -> Failure:
    return failure_of_kind(
        Kind.RELEASED,
        f"given back unfinished {claim.releases} times already, which from here on counts as a failure; last: {reason}",
    )
