"""What its holder has lost: claims whose lease ran out, and claims that their worker never heard of.

Both end by the same `decide` and the same statement as every other end. `now` is always the last parameter: None takes
the database's clock; tests and the simulation set it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import psycopg

from reproq.lifecycle import Claim, Key, Kind, Release, Status, Verdict, decide, failure_of_kind
from reproq.store.arrays import numbers
from reproq.store.db import Database, is_bad_row
from reproq.store.ends import FinalizeAnswer, Within, store_ends
from reproq.store.finalising import Finalisation, finalize
from reproq.store.statements import Cursor, fetch_all, fetch_one

RESCUE_LIMIT: Final = 100
LEASES_MORE: Final = 1.0
"""So many leases after its own a claim is left to a worker that lives and has renewed it. One that was never renewed
may be one that its worker knows nothing of, as the answer was lost; and a name that is seen may be another's by now."""


@dataclass(frozen=True, slots=True)
class Rescued:
    """One expired claim and what became of it."""

    claim: Claim
    worker_id: str
    task_path: str
    verdict: Verdict
    becomes: Status

    @property
    def end(self) -> Finalisation:
        return Finalisation(*self.claim.key, self.verdict)


def give_back_unheard(cursor: Cursor, worker_id: str, tokens: Sequence[int], now: datetime | None = None) -> None:
    """Release what this worker claimed under tokens whose answer never came: nobody has started it, so it is free."""
    rows = fetch_all(cursor, "unheard", {"worker_id": worker_id, "tokens": numbers(tokens)})
    release = Release("the answer to its claim was lost", started=False)
    held = [Claim(*row) for row in rows]
    finalize(cursor, [Finalisation(*claim.key, decide(claim, release)) for claim in held], now=now)


def ended_before(cursor: Cursor, worker_id: str, ends: Sequence[Finalisation]) -> set[Key]:
    """Of ends that found no claim any more, those that an earlier try has stored, whose answer never came; the claims
    of the others had passed to somebody. One that was given back unbegun and claimed since cannot be told from those.
    """
    params = {
        "worker_id": worker_id,
        "ids": numbers(end.run_id for end in ends),
        "attempts": numbers(end.attempt for end in ends),
    }
    found = {run_id for (run_id,) in fetch_all(cursor, "ended", params)}
    return {end.key for end in ends if end.run_id in found}


def expired(
    cursor: Cursor, lease_seconds: float, limit: int = RESCUE_LIMIT, now: datetime | None = None
) -> list[tuple[Claim, str, str]]:
    """Lock up to `limit` claims whose lease ran out: `(claim, worker_id, task_path)` each.

    That of a worker which is seen, and has renewed it before, was passed over, since somebody held the row: it has
    `LEASES_MORE` for that.
    """
    patience_seconds = LEASES_MORE * lease_seconds
    params = {"lease_seconds": lease_seconds, "patience_seconds": patience_seconds, "limit": limit, "now": now}
    rows = fetch_all(cursor, "expired", params)
    claims = []
    for *held, backoff, worker_id, task_path in rows:
        claim = Claim(*held)._replace(backoff_seconds=tuple(backoff) if backoff else None)
        claims.append((claim, worker_id, task_path))
    return claims


def rescue(
    cursor: Cursor, lease_seconds: float, limit: int = RESCUE_LIMIT, now: datetime | None = None
) -> list[Rescued]:
    """Finalise runs whose lease ran out, by the same `decide` and the same statement as every other end."""
    rescued = lost(cursor, lease_seconds, limit, now)
    stored = finalize(cursor, [one.end for one in rescued], now=now)
    return [replace(one, becomes=stored[one.claim.key]) for one in rescued if one.claim.key in stored]


def soonest_lease_seconds(cursor: Cursor, now: datetime | None = None) -> float | None:
    """Seconds until the lease that ends first will have ended, negative when it has; None when nothing runs."""
    row = fetch_one(cursor, "soonest_lease", {"now": now})
    return None if row is None else row[0]


def lost(cursor: Cursor, lease_seconds: float, limit: int = RESCUE_LIMIT, now: datetime | None = None) -> list[Rescued]:
    """The expired claims, locked, and what is to become of each."""
    found = []
    for claim, worker_id, task_path in expired(cursor, lease_seconds, limit, now):
        failure = failure_of_kind(
            Kind.LEASE_EXPIRED,
            f"worker {worker_id} stopped renewing its lease: it died, hung, or lost the database",
        )
        verdict = decide(claim, failure)
        found.append(Rescued(claim, worker_id, task_path, verdict, verdict.status))
    return found


@dataclass(frozen=True, slots=True)
class RefusedRescue:
    """An expired claim that the database would not let end as decided, and why. `is_failed`: it has ended all the same,
    as failed; else nothing has changed."""

    claim: Claim
    task_path: str
    reason: str
    is_failed: bool


@dataclass(frozen=True, slots=True)
class RescueAnswer:
    """What became of the runs that others had lost, in how many seconds the next lease ends (None: none runs), and
    which ends were refused. One that failed instead is among the rescued, too."""

    rescued: list[Rescued]
    soonest_seconds: float | None
    refused: tuple[RefusedRescue, ...] = ()


@dataclass(frozen=True, slots=True)
class RescueRuns:
    """Finalise what other workers lost. A row that the database refuses stops no other.

    A rescue that waited longer than `patience_seconds` for the database is void: after an outage others renew first.
    """

    lease_seconds: float
    patience_seconds: float

    def run(self, database: Database, now: datetime | None) -> RescueAnswer:
        refused: tuple[RefusedRescue, ...] = ()
        try:
            with database.transaction() as cursor:
                rescued = rescue(cursor, self.lease_seconds, now=now)
        except psycopg.Error as error:
            if not is_bad_row(error):
                raise
            rescued, refused = self._one_by_one(database, now)
        with database.statement() as cursor:
            return RescueAnswer(rescued, soonest_lease_seconds(cursor, now), refused)

    def _one_by_one(self, database: Database, now: datetime | None) -> tuple[list[Rescued], tuple[RefusedRescue, ...]]:
        """In the transaction that locks them: the fence knows a claim again that its worker has renewed since the look,
        and such a claim must not end."""
        answer = FinalizeAnswer()
        with database.transaction() as cursor:
            found = lost(cursor, self.lease_seconds, now=now)
            store_ends(Within(cursor), tuple(one.end for one in found), now, answer)
        stored = answer.stored
        return (
            [replace(one, becomes=stored[one.claim.key]) for one in found if one.claim.key in stored],
            tuple(
                RefusedRescue(one.claim, one.task_path, answer.refused[one.claim.key], one.claim.key in stored)
                for one in found
                if one.claim.key in answer.refused
            ),
        )
