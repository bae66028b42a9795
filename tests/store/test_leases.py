"""Leases: renewal by the token, expiry by the database's clock, rescue through `decide`, and promotion."""

from datetime import timedelta

import psycopg
import pytest
from psycopg import Cursor

from reproq.lifecycle import Kind, Status
from reproq.store import claims, insight, rescues
from tests.store.rows import LEASE_SECONDS, NOW, RETRY, SUCCEED, TOKEN, claim, finalize, insert, read

LATER = NOW + timedelta(seconds=31)
"""After the lease of a run that `insert` made RUNNING."""
MUCH_LATER = LATER + timedelta(minutes=1)


# Heartbeats


def test_a_worker_seen_after_a_look_began_was_seen_no_seconds_before_it(cursor: Cursor) -> None:
    cursor.execute("INSERT INTO reproq_workers (worker_id, last_seen_at) VALUES ('w-1', %s)", [LATER])
    unseen = {moment: insight.list_workers(cursor, moment)[0].unseen_seconds for moment in (NOW, LATER, MUCH_LATER)}
    assert unseen == {NOW: 0, LATER: 0, MUCH_LATER: 60}
    assert f"{unseen[NOW]:.0f}" == "0"


# Renewal


def test_a_renewal_extends_ours_and_answers_only_those(cursor: Cursor) -> None:
    mine, lost = insert(cursor, Status.RUNNING), insert(cursor, Status.RUNNING, claim_token=5, worker_id="w-2")
    ended, missing = insert(cursor, Status.SUCCESSFUL), 10**12
    held = [(missing, TOKEN), (ended, TOKEN), (lost, TOKEN), (mine, TOKEN)]
    assert claims.renew(cursor, held, LEASE_SECONDS, LATER) == {(mine, TOKEN): False}
    assert read(cursor, mine).lease_expires_at == LATER + timedelta(seconds=30)
    assert read(cursor, lost).lease_expires_at == NOW + timedelta(seconds=30)


def test_a_renewal_matches_the_token_not_the_time(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING)
    long_after = NOW + timedelta(days=3)
    assert claims.renew(cursor, [(run_id, TOKEN)], LEASE_SECONDS, long_after) == {(run_id, TOKEN): False}
    assert rescues.expired(cursor, LEASE_SECONDS, now=long_after) == []


def test_a_renewal_tells_that_a_cancellation_was_asked_for(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING, cancel_requested_at=NOW)
    assert claims.renew(cursor, [(run_id, TOKEN)], LEASE_SECONDS, NOW) == {(run_id, TOKEN): True}


@pytest.mark.parametrize("old_token", [TOKEN - 1, TOKEN + 1])
def test_an_old_claim_held_beside_the_new_one_of_a_run_is_told_apart(cursor: Cursor, old_token: int) -> None:
    run_id = insert(cursor, Status.RUNNING)
    held = [(run_id, old_token), (run_id, TOKEN)]
    assert claims.renew(cursor, held, LEASE_SECONDS, LATER) == {(run_id, TOKEN): False}
    assert read(cursor, run_id).lease_expires_at == LATER + timedelta(seconds=30)


def test_renewing_nothing_asks_nothing(cursor: Cursor) -> None:
    assert claims.renew(cursor, [], LEASE_SECONDS, NOW) == {}


# Expiry


def test_a_claim_expires_when_its_lease_is_over_and_not_before(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING)
    assert rescues.expired(cursor, LEASE_SECONDS, now=NOW + timedelta(seconds=30)) == []
    ((claim, worker_id, task_path),) = rescues.expired(cursor, LEASE_SECONDS, now=LATER)
    assert (claim.run_id, claim.token, worker_id, task_path) == (run_id, TOKEN, "w-1", "app.tasks.add")


def test_expired_claims_are_handed_out_in_bounded_numbers(cursor: Cursor) -> None:
    made = [insert(cursor, Status.RUNNING) for _ in range(5)]
    assert [one.run_id for one, _, _ in rescues.expired(cursor, LEASE_SECONDS, 3, LATER)] == made[:3]


def test_an_expired_claim_carries_what_decide_needs(cursor: Cursor) -> None:
    counts = {"attempts": 3, "worker_ids": ["a", "b", "w-1"], "failures": 2, "releases": 1, "max_attempts": 9}
    insert(cursor, Status.RUNNING, backoff_seconds=[2.0], **counts)
    ((claim, _, _),) = rescues.expired(cursor, LEASE_SECONDS, now=LATER)
    assert (claim.attempt, claim.failures, claim.releases, claim.max_attempts) == (3, 2, 1, 9)
    assert claim.backoff_seconds == (2.0,)


def test_on_the_databases_own_clock_nothing_expires_before_the_server_is_up_for_a_lease(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING, lease_expires_at=NOW - timedelta(days=10_000))
    assert rescues.expired(cursor, lease_seconds=10 * 365 * 86_400.0) == []
    assert [claim.run_id for claim, _, _ in rescues.expired(cursor, lease_seconds=0.0)] == [run_id]


def test_two_rescuers_never_get_the_same_claim(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as first, psycopg.connect(dsn) as second:
        run_id = insert(first.cursor(), Status.RUNNING)
        with first.transaction():
            assert len(rescues.expired(first.cursor(), LEASE_SECONDS, now=LATER)) == 1
            assert rescues.rescue(second.cursor(), LEASE_SECONDS, now=LATER) == []
        assert [one.claim.run_id for one in rescues.rescue(second.cursor(), LEASE_SECONDS, now=LATER)] == [run_id]


# Rescue


def test_a_rescued_run_is_retried_after_its_back_off(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING)
    (rescued,) = rescues.rescue(cursor, LEASE_SECONDS, now=LATER)
    run = read(cursor, run_id)
    assert (run.status, run.failures, run.attempts) == (Status.SCHEDULED, 1, 1)
    assert run.due_at == LATER + timedelta(seconds=rescued.verdict.delay_seconds)
    assert (rescued.claim.run_id, rescued.worker_id, rescued.task_path) == (run_id, "w-1", "app.tasks.add")
    (error,) = run.errors
    assert error["kind"] == Kind.LEASE_EXPIRED
    assert error["exception_class"] == "reproq.errors.LeaseExpired"
    assert "worker w-1 stopped renewing" in error["message"]


def test_a_rescued_run_without_attempts_left_fails(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING, attempts=3, worker_ids=["a", "b", "w-1"], failures=2)
    rescues.rescue(cursor, LEASE_SECONDS, now=LATER)
    run = read(cursor, run_id)
    assert (run.status, run.failures, run.finished_at) == (Status.FAILED, 3, LATER)
    assert run.started_at == NOW  # nobody reported the start: the claim's time stands for it


def test_a_rescue_leaves_what_is_not_expired(cursor: Cursor) -> None:
    insert(cursor, Status.RUNNING)
    fresh = insert(cursor, Status.RUNNING, lease_expires_at=LATER)
    assert len(rescues.rescue(cursor, LEASE_SECONDS, now=LATER)) == 1
    assert read(cursor, fresh).status == Status.RUNNING


# The fence


def test_a_late_end_changes_nothing_once_the_run_was_rescued(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING)
    rescues.rescue(cursor, LEASE_SECONDS, now=LATER)
    before = read(cursor, run_id)
    assert not finalize(cursor, run_id, SUCCEED)
    assert read(cursor, run_id) == before


def test_a_late_end_of_the_same_worker_does_not_end_its_next_claim(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING)
    rescues.rescue(cursor, LEASE_SECONDS, now=LATER)
    much_later = LATER + timedelta(hours=1)
    claims.promote(cursor, now=much_later)
    assert len(claim(cursor, token=TOKEN + 1, now=much_later)) == 1
    assert not finalize(cursor, run_id, SUCCEED, token=TOKEN, now=much_later)
    assert read(cursor, run_id).status == Status.RUNNING
    assert finalize(cursor, run_id, SUCCEED, token=TOKEN + 1, now=much_later)


def test_an_end_is_stored_once(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING)
    assert finalize(cursor, run_id, RETRY)
    assert not finalize(cursor, run_id, RETRY)
    assert read(cursor, run_id).failures == 1


# Promotion


def test_due_runs_are_promoted_longest_due_first_and_in_bounded_numbers(cursor: Cursor) -> None:
    made = [insert(cursor, Status.SCHEDULED, due_at=NOW - timedelta(seconds=age)) for age in (1, 9, 5, 0)]
    insert(cursor, Status.SCHEDULED, due_at=NOW + timedelta(microseconds=1))
    assert claims.promote(cursor, 2, NOW) == 2
    assert [read(cursor, run_id).status for run_id in made] == ["SCHEDULED", "READY", "READY", "SCHEDULED"]
    assert claims.promote(cursor, 500, NOW) == 2


def test_a_promoted_run_keeps_its_due_time_and_its_reason(cursor: Cursor) -> None:
    due = NOW - timedelta(seconds=5)
    run_id = insert(cursor, Status.SCHEDULED, due_at=due, waiting_reason="retry after timeout")
    claims.promote(cursor, now=NOW)
    run = read(cursor, run_id)
    assert (run.due_at, run.waiting_reason) == (due, "retry after timeout")
