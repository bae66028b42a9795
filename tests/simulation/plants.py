"""Bugs of the kind that others shipped, each planted into the real code for the length of a test."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import pytest

from reproq.store import statements
from reproq.store.db import Database
from reproq.store.ends import FinalizeAnswer
from reproq.store.requests import ClaimAnswer, ClaimRuns, Clock, FinalizeRuns

Plant = Callable[[pytest.MonkeyPatch], None]


def _rewrite(patch: pytest.MonkeyPatch, changes: dict[str, tuple[tuple[str, str], ...]]) -> None:
    """Replace passages of statements; a passage that is not there (any more) fails the test."""
    original = statements.statement
    texts = {}
    for name, passages in changes.items():
        text = original(name)
        for old, new in passages:
            assert text.count(old) == 1, f"{name}.sql has {text.count(old)} times: {old}"
            text = text.replace(old, new)
        texts[name] = text
    patch.setattr(statements, "statement", lambda name: texts.get(name) or original(name))


def fence_by_worker_id(patch: pytest.MonkeyPatch) -> None:
    """Whoever bears the id of the claim may write; a rescuer, when the lease has run out."""
    mine = "worker_id = current_setting('application_name')"  # the connection bears the worker's id
    late = "lease_expires_at < coalesce(%(now)s::timestamptz, now())"
    fence = "run.claim_token = (%(tokens)s::bigint[])[width_bucket(run.id, %(ids)s::bigint[])]"
    look = "claim_token = (%(tokens)s::bigint[])[width_bucket(id, %(ids)s::bigint[])]"
    _rewrite(
        patch,
        {
            "finalize": ((fence, f"(run.{mine} OR run.{late})"),),
            "renew": ((fence, f"run.{mine}"),),
            "still_ours": ((look, mine),),
        },
    )


def fence_by_attempt(patch: pytest.MonkeyPatch) -> None:
    """The token of a claim is the number of the attempt."""
    _rewrite(patch, {"claim": (("claim_token = %(token)s::bigint", "claim_token = attempts + 1"),)})


def put_back_after_a_failed_call(patch: pytest.MonkeyPatch) -> None:
    """When the call that stores an end fails, its runs are made READY again."""
    run = FinalizeRuns.run

    def run_or_put_back(self: FinalizeRuns, database: Database, now: Clock) -> FinalizeAnswer:
        try:
            return run(self, database, now)
        except psycopg.OperationalError:
            with database.transaction() as cursor:
                cursor.execute(
                    """
                    UPDATE task_runs
                    SET status = 'READY', finished_at = NULL, return_value = NULL,
                        claim_token = NULL, worker_id = NULL, claimed_at = NULL, lease_expires_at = NULL
                    WHERE id = ANY(%s)
                    """,
                    [[item.run_id for item in self.batch]],
                )
            raise

    patch.setattr(FinalizeRuns, "run", run_or_put_back)


def rescue_without_locking(patch: pytest.MonkeyPatch) -> None:
    """What has expired is read, and nobody is kept from renewing it before it is ended."""
    _rewrite(patch, {"expired": (("FOR UPDATE OF run SKIP LOCKED", ""),)})


def count_at_the_end(patch: pytest.MonkeyPatch) -> None:
    """The end of an attempt counts it, not the claim."""
    undo = "(%(undo_attempts)s::bool[])[i]"
    counting = "attempts = attempts + 1,\n    worker_ids = worker_ids || %(worker_id)s::text,\n    "
    _rewrite(
        patch,
        {
            "claim": ((counting, ""),),
            "finalize": (
                (f"run.attempts - coalesce({undo}::int, 0)", f"run.attempts + 1 - coalesce({undo}::int, 0)"),
                (
                    f"CASE WHEN {undo} THEN trim_array(run.worker_ids, 1) ELSE run.worker_ids END",
                    f"CASE WHEN {undo} THEN run.worker_ids ELSE run.worker_ids || run.worker_id END",
                ),
            ),
        },
    )


def end_without_waiting_for_the_disk(patch: pytest.MonkeyPatch) -> None:
    """The commit that stores an end is asynchronous, as that of a claim is."""
    where = "AND run.id = ANY(%(ids)s::bigint[])\n"
    not_waiting = "AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL\n"
    _rewrite(patch, {"finalize": ((where, not_waiting + where),)})


def time_from_the_workers_clock(patch: pytest.MonkeyPatch) -> None:
    """The worker's wall clock says what is due, and until when a lease lasts."""
    run = ClaimRuns.run

    def run_by_own_clock(self: ClaimRuns, database: Database, now: Clock) -> ClaimAnswer:
        return run(self, database, datetime.fromtimestamp(time.time(), UTC))

    patch.setattr(ClaimRuns, "run", run_by_own_clock)
