"""Finalise: what each verdict writes, in one batch of many kinds, and which texts it can hold."""

import json
from datetime import timedelta

import pytest
from psycopg import Cursor

from reproq.lifecycle import Kind, Status, Verdict
from reproq.store import claims, finalising
from reproq.store.finalising import Finalisation
from tests.store.rows import (
    CANCEL,
    FAIL,
    GIVE_BACK,
    NOW,
    RELEASE,
    RETRY,
    SUCCEED,
    TOKEN,
    claim,
    failure,
    finalize,
    insert,
    read,
)


def unknown(message: str = "no module app") -> Verdict:
    error = failure(Kind.UNKNOWN_TASK, message)
    return Verdict(Status.SCHEDULED, error=error, delay_seconds=5.0, undo_attempt=True, waiting_reason=message)


# A batch


def test_a_batch_of_every_verdict_in_any_order_gives_each_run_its_own(cursor: Cursor) -> None:
    verdicts = [SUCCEED, FAIL, RETRY, RELEASE, GIVE_BACK, CANCEL, unknown(), SUCCEED]
    made = [insert(cursor, Status.RUNNING) for _ in verdicts]
    batch = [Finalisation(run_id, TOKEN, verdict) for run_id, verdict in zip(made, verdicts, strict=True)]
    stored = finalising.finalize(cursor, batch[::-2] + batch[::2], now=NOW)
    assert stored == {(run_id, TOKEN): verdict.status for run_id, verdict in zip(made, verdicts, strict=True)}
    runs = [read(cursor, run_id) for run_id in made]
    assert [run.status for run in runs] == [verdict.status for verdict in verdicts]
    assert [run.return_value for run in runs] == ["1", None, None, None, None, None, None, "1"]
    assert [len(run.errors) for run in runs] == [0, 1, 1, 0, 0, 1, 1, 0]
    assert [run.failures for run in runs] == [0, 1, 1, 0, 0, 0, 0, 0]
    assert [run.releases for run in runs] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert [run.attempts for run in runs] == [1, 1, 1, 1, 0, 1, 0, 1]
    assert [run.waiting_reason for run in runs] == [None, None, "retry", "drain", "drain", None, "no module app", None]
    assert {run.claim_token for run in runs} == {run.worker_id for run in runs} == {None}
    assert [run.finished_at is not None for run in runs] == [run.status in claims_that_finish() for run in runs]


def claims_that_finish() -> set[str]:
    return {"SUCCESSFUL", "FAILED", "CANCELLED"}


def test_a_batch_stores_ours_and_leaves_what_has_passed_to_others(cursor: Cursor) -> None:
    mine, lost = insert(cursor, Status.RUNNING), insert(cursor, Status.RUNNING, claim_token=5)
    batch = [Finalisation(lost, TOKEN, SUCCEED), Finalisation(mine, TOKEN, SUCCEED), Finalisation(10**12, 1, SUCCEED)]
    assert finalising.finalize(cursor, batch, now=NOW) == {(mine, TOKEN): Status.SUCCESSFUL}
    assert read(cursor, lost).status == Status.RUNNING


@pytest.mark.parametrize("old_token", [TOKEN - 1, TOKEN + 1])
def test_an_old_claim_beside_the_new_one_of_a_run_does_not_hide_its_end(cursor: Cursor, old_token: int) -> None:
    run_id = insert(cursor, Status.RUNNING)
    batch = [Finalisation(run_id, old_token, FAIL), Finalisation(run_id, TOKEN, SUCCEED)]
    assert finalising.finalize(cursor, batch, now=NOW) == {(run_id, TOKEN): Status.SUCCESSFUL}
    assert read(cursor, run_id).status == Status.SUCCESSFUL


def test_an_empty_batch_stores_nothing(cursor: Cursor) -> None:
    assert finalising.finalize(cursor, [], now=NOW) == {}


# Times


def test_starts_and_ends_are_the_childs_by_the_databases_clock(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING)
    finalize(cursor, run_id, SUCCEED, started_s=100.0, ended_s=103.5, monotonic_s=104.0)
    run = read(cursor, run_id)
    assert run.started_at == run.last_attempted_at == NOW - timedelta(seconds=4)
    assert run.finished_at == NOW - timedelta(seconds=0.5)


def test_started_at_is_the_first_attempts_and_last_attempted_at_the_newest(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING)
    finalize(cursor, run_id, RETRY, started_s=1.0, monotonic_s=3.0)
    later = NOW + timedelta(hours=1)
    claims.promote(cursor, now=later)
    claim(cursor, now=later)
    finalize(cursor, run_id, SUCCEED, started_s=10.0, monotonic_s=11.0, now=later)
    run = read(cursor, run_id)
    assert run.started_at == NOW - timedelta(seconds=2)
    assert run.last_attempted_at == later - timedelta(seconds=1)


def test_an_attempt_that_reported_no_start_started_when_it_was_claimed(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING, claimed_at=NOW - timedelta(seconds=7))
    finalize(cursor, run_id, FAIL)
    assert read(cursor, run_id).started_at == NOW - timedelta(seconds=7)


def test_a_moment_ahead_of_this_hosts_clock_counts_as_now(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING)
    finalize(cursor, run_id, SUCCEED, started_s=9.0, ended_s=9.0, monotonic_s=3.0)
    assert read(cursor, run_id).finished_at == NOW


def test_a_retry_falls_due_after_its_delay_and_a_release_keeps_its_place(cursor: Cursor) -> None:
    due = NOW - timedelta(minutes=1)
    retried, released = (insert(cursor, Status.RUNNING, due_at=due) for _ in range(2))
    finalize(cursor, retried, RETRY)
    finalize(cursor, released, RELEASE)
    assert read(cursor, retried).due_at == NOW + timedelta(seconds=8)
    assert read(cursor, released).due_at == due


# Attempts that did not start


def test_giving_back_a_run_that_did_not_start_takes_its_attempt_off_again(cursor: Cursor) -> None:
    started = NOW - timedelta(hours=1)
    times = {"started_at": started, "last_attempted_at": started}
    run_id = insert(cursor, Status.RUNNING, attempts=2, worker_ids=["w-0", "w-1"], failures=1, **times)
    finalize(cursor, run_id, GIVE_BACK)
    run = read(cursor, run_id)
    assert (run.attempts, run.worker_ids, run.failures, run.releases) == (1, ["w-0"], 1, 0)
    assert (run.started_at, run.last_attempted_at) == (started, started)


def test_giving_back_the_first_attempt_leaves_a_run_as_if_never_claimed(cursor: Cursor) -> None:
    run_id = insert(cursor)
    before = read(cursor, run_id)
    claim(cursor)
    finalize(cursor, run_id, GIVE_BACK)
    after = read(cursor, run_id)
    after.waiting_reason = None
    assert after == before


# Errors


def test_an_error_carries_its_texts_its_attempt_its_worker_and_its_time(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING, attempts=2, worker_ids=["w-0", "w-1"], errors='[{"kind": "timeout"}]')
    error = failure(message="it went wrong", traceback="Traceback …")
    finalize(cursor, run_id, Verdict(Status.FAILED, error=error), ended_s=1.0, monotonic_s=3.0)
    run = read(cursor, run_id)
    assert run.errors[0] == {"kind": "timeout"}
    assert run.errors[1] == {
        "kind": "exception",
        "exception_class": "package.Error",
        "message": "it went wrong",
        "traceback": "Traceback …",
        "attempt": 2,
        "worker_id": "w-1",
        "at": "2030-01-01T11:59:58+00:00",
    }
    assert run.finished_at == NOW - timedelta(seconds=2)


def test_an_unknown_task_keeps_one_entry_changed_in_place_with_its_first_time(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING, errors='[{"kind": "exception"}]')
    finalize(cursor, run_id, unknown("no module app"))
    later = NOW + timedelta(minutes=10)
    claims.promote(cursor, now=later)
    (again,) = claim(cursor, now=later)
    assert again.claim.unknown_for_seconds == 600
    finalize(cursor, run_id, unknown("no task in app"), now=later)
    run = read(cursor, run_id)
    assert [error["kind"] for error in run.errors] == ["exception", "unknown_task"]
    assert run.errors[1]["message"] == "no task in app"
    assert run.errors[1]["first_at"] == "2030-01-01T12:00:00+00:00"
    assert run.errors[1]["at"] == "2030-01-01T12:10:00+00:00"
    assert (run.attempts, run.worker_ids) == (0, [])


def test_another_error_between_starts_the_grace_of_an_unknown_task_anew(cursor: Cursor) -> None:
    run_id = insert(cursor, errors='[{"kind": "unknown_task", "first_at": "2029-01-01T00:00Z"}, {"kind": "timeout"}]')
    assert claim(cursor)[0].claim.unknown_for_seconds == 0
    finalize(cursor, run_id, unknown())
    assert [error["kind"] for error in read(cursor, run_id).errors] == ["unknown_task", "timeout", "unknown_task"]


@pytest.mark.lesson("lone-surrogates-and-nul-in-results")
@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("nul \0 here", "nul \\x00 here"),
        ("half \ud83d pair", "half \\ud83d pair"),
        ("\udcff\0\U0001f600 é", "\\udcff\\x00\U0001f600 é"),
        ('quotes " \\ and \n lines \u2028', 'quotes " \\ and \n lines \u2028'),
    ],
)
def test_any_text_of_an_error_is_storable_and_readable(cursor: Cursor, text: str, stored: str) -> None:
    run_id = insert(cursor, Status.RUNNING)
    error = failure(message=text, traceback=text)
    verdict = Verdict(Status.SCHEDULED, error=error, counts_failure=True, waiting_reason=text)
    assert finalize(cursor, run_id, verdict)
    run = read(cursor, run_id)
    assert (run.errors[0]["message"], run.errors[0]["traceback"], run.waiting_reason) == (stored, stored, stored)


# Values


@pytest.mark.parametrize(
    "text",
    ["null", "1e16", "-0.0", '{"b":1, "a": 2,"b":3}', '"\\u0000\\ud800"', "[" * 100 + "]" * 100, '"é \U0001f600"'],
)
def test_a_return_value_is_stored_exactly_as_its_text(cursor: Cursor, text: str) -> None:
    run_id = insert(cursor, Status.RUNNING)
    finalize(cursor, run_id, Verdict(Status.SUCCESSFUL, return_json=text))
    assert read(cursor, run_id).return_value == text


@pytest.mark.lesson("ten-mebibytes-in-a-result")
def test_a_return_value_of_ten_mebibytes_is_stored(cursor: Cursor) -> None:
    run_id = insert(cursor, Status.RUNNING)
    text = json.dumps("x" * (10 << 20))
    assert finalize(cursor, run_id, Verdict(Status.SUCCESSFUL, return_json=text))
    assert read(cursor, run_id).return_value == text
