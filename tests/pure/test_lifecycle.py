"""The state machine as data, and `decide`, over every kind of end."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproq.backoff import retry_delay
from reproq.lifecycle import (
    COUNTED,
    FINAL,
    FINISHED,
    TRANSITIONS,
    UNKNOWN_TASK_GRACE_SECONDS,
    Claim,
    Event,
    Failure,
    Kind,
    Outcome,
    Release,
    Status,
    Success,
    decide,
)

CLAIM = Claim(run_id=1, token=7, attempt=1, failures=0, releases=0, max_attempts=3, spec_hash="5f" * 32)

claims = st.builds(
    Claim,
    run_id=st.integers(1, 2**63 - 1),
    token=st.integers(-(2**63), 2**63 - 1),
    attempt=st.integers(1, 100),
    failures=st.integers(0, 100),
    releases=st.integers(0, 50),
    max_attempts=st.integers(1, 100),
    spec_hash=st.text("0123456789abcdef", min_size=64, max_size=64),
    backoff_seconds=st.none() | st.lists(st.floats(0, 1e6), max_size=5).map(tuple),
    unknown_for_seconds=st.floats(0, 1e6),
)
outcomes = st.one_of(
    st.builds(Success, return_json=st.just("null")),
    st.builds(Failure, kind=st.sampled_from(Kind), exception_class=st.just("a.B"), message=st.text(max_size=5)),
    st.builds(Release, reason=st.text(max_size=5), started=st.booleans()),
)


def failure(kind: Kind) -> Failure:
    return Failure(kind, "package.Error", "it went wrong")


# The table


@pytest.mark.parametrize(("status", "event"), list(product(sorted(FINISHED), Event)))
def test_a_finished_run_moves_again_only_when_someone_retries_a_failed_one(status: Status, event: Event) -> None:
    assert ((status, event) in TRANSITIONS) == ((status, event) == (Status.FAILED, Event.MANUAL_RETRY))


def test_only_a_claim_leads_into_running() -> None:
    assert [pair for pair, target in TRANSITIONS.items() if target is Status.RUNNING] == [
        (Status.READY, Event.CLAIM),
        (Status.RUNNING, Event.RENEW),
        (Status.RUNNING, Event.MANUAL_CANCEL),
    ]


def test_a_run_is_finished_in_exactly_three_statuses() -> None:
    assert {status for status in Status if status.is_finished} == {Status.SUCCESSFUL, Status.FAILED, Status.CANCELLED}


def test_every_kind_of_error_is_counted_or_final_or_an_unknown_task() -> None:
    assert {*COUNTED, *FINAL, Kind.UNKNOWN_TASK} == set(Kind)
    assert not COUNTED & FINAL


# decide


def test_a_success_stores_its_text_and_counts_nothing() -> None:
    verdict = decide(CLAIM, Success('{"a":1}'))
    assert verdict.status is Status.SUCCESSFUL
    assert verdict.return_json == '{"a":1}'
    assert [verdict.counts_failure, verdict.counts_release, verdict.undo_attempt] == [False, False, False]


@pytest.mark.parametrize("kind", sorted(COUNTED))
def test_a_counted_failure_below_the_bound_is_retried_after_its_back_off(kind: Kind) -> None:
    verdict = decide(CLAIM._replace(failures=1), failure(kind))
    assert verdict.status is Status.SCHEDULED
    assert verdict.counts_failure
    assert verdict.delay_seconds == retry_delay(None, 2, CLAIM.spec_hash)
    assert verdict.waiting_reason == f"retry after {kind}, failure 2 of 3"


@pytest.mark.parametrize("kind", sorted(COUNTED))
def test_a_counted_failure_at_the_bound_ends_the_run(kind: Kind) -> None:
    verdict = decide(CLAIM._replace(failures=2), failure(kind))
    assert (verdict.status, verdict.counts_failure, verdict.delay_seconds) == (Status.FAILED, True, 0.0)


def test_with_one_attempt_the_first_failure_is_the_last() -> None:
    assert decide(CLAIM._replace(max_attempts=1), failure(Kind.LEASE_EXPIRED)).status is Status.FAILED


@pytest.mark.parametrize("kind", sorted(FINAL - {Kind.CANCELLED}))
def test_a_final_kind_ends_the_run_at_its_first_attempt_uncounted(kind: Kind) -> None:
    verdict = decide(CLAIM, failure(kind))
    assert (verdict.status, verdict.counts_failure) == (Status.FAILED, False)


def test_a_cancelled_attempt_ends_the_run_as_cancelled() -> None:
    assert decide(CLAIM, failure(Kind.CANCELLED)).status is Status.CANCELLED
    assert not decide(CLAIM, failure(Kind.CANCELLED)).undo_attempt
    assert decide(CLAIM, failure(Kind.CANCELLED), began=False).undo_attempt


def test_a_run_given_back_before_its_start_loses_the_attempt_and_counts_nothing() -> None:
    verdict = decide(CLAIM, Release("draining", started=False))
    assert (verdict.status, verdict.undo_attempt, verdict.counts_release) == (Status.READY, True, False)
    assert verdict.waiting_reason == "draining"


def test_a_run_given_back_after_its_start_counts_a_release_and_no_failure() -> None:
    verdict = decide(CLAIM, Release("draining", started=True))
    assert (verdict.status, verdict.undo_attempt, verdict.counts_release) == (Status.READY, False, True)
    assert not verdict.counts_failure
    assert verdict.error is None


def test_too_many_releases_count_as_a_failure_of_their_own_kind() -> None:
    verdict = decide(CLAIM._replace(releases=2), Release("draining", started=True), max_releases=2)
    assert (verdict.status, verdict.counts_failure) == (Status.SCHEDULED, True)
    assert verdict.error is not None
    assert verdict.error.kind is Kind.RELEASED
    assert verdict.error.exception_class == "reproq.errors.ReleasedTooOften"


@pytest.mark.parametrize(("known_for", "delay"), [(0, 5), (5, 5), (40, 40), (300, 300), (86_399, 300)])
def test_an_unknown_task_waits_as_long_as_it_was_unknown_within_bounds(known_for: float, delay: float) -> None:
    verdict = decide(CLAIM._replace(unknown_for_seconds=known_for), failure(Kind.UNKNOWN_TASK))
    assert (verdict.status, verdict.delay_seconds, verdict.undo_attempt) == (Status.SCHEDULED, delay, True)
    assert not verdict.counts_failure


def test_an_unknown_task_fails_when_its_grace_is_over() -> None:
    verdict = decide(CLAIM._replace(unknown_for_seconds=UNKNOWN_TASK_GRACE_SECONDS), failure(Kind.UNKNOWN_TASK))
    assert (verdict.status, verdict.undo_attempt) == (Status.FAILED, True)


EVENT_OF = {
    Status.SUCCESSFUL: Event.SUCCEED,
    Status.FAILED: Event.FAIL,
    Status.SCHEDULED: Event.RETRY,
    Status.READY: Event.RELEASE,
    Status.CANCELLED: Event.CANCEL,
}


@given(claims, outcomes, st.integers(0, 50))
def test_every_verdict_is_a_transition_out_of_running(claim: Claim, outcome: Outcome, max_releases: int) -> None:
    verdict = decide(claim, outcome, max_releases=max_releases)
    assert TRANSITIONS[Status.RUNNING, EVENT_OF[verdict.status]] is verdict.status


@given(claims, outcomes, st.integers(0, 50))
def test_every_verdict_is_consistent(claim: Claim, outcome: Outcome, max_releases: int) -> None:
    verdict = decide(claim, outcome, max_releases=max_releases)
    assert (verdict.return_json is not None) == (verdict.status is Status.SUCCESSFUL)
    assert (verdict.error is None) == (verdict.status in {Status.SUCCESSFUL, Status.READY})
    assert verdict.delay_seconds >= 0
    assert verdict.delay_seconds == 0 or verdict.status is Status.SCHEDULED
    assert verdict.counts_failure + verdict.counts_release + verdict.undo_attempt <= 1
    assert (verdict.waiting_reason is None) == verdict.status.is_finished


@given(claims, outcomes)
def test_a_counted_failure_ends_the_run_exactly_when_no_attempt_is_left(claim: Claim, outcome: Outcome) -> None:
    verdict = decide(claim, outcome)
    if verdict.counts_failure:
        assert (verdict.status is Status.FAILED) == (claim.failures + 1 >= claim.max_attempts)
