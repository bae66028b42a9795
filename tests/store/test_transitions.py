"""Every (status, event) pair through the real SQL: allowed ones end where the table says, others write nothing."""

from collections.abc import Callable
from itertools import product

import psycopg
import pytest
from psycopg import Cursor

from reproq.lifecycle import TRANSITIONS, Event, Status
from reproq.store import claims, interventions
from tests.store.rows import (
    CANCEL,
    FAIL,
    GIVE_BACK,
    LEASE_SECONDS,
    NOW,
    RELEASE,
    RETRY,
    SUCCEED,
    TOKEN,
    VALID,
    claim,
    every_row,
    finalize,
    insert,
    read,
)

Happening = Callable[[Cursor, int], object]

HAPPENINGS: list[tuple[Event, Happening]] = [
    (Event.PROMOTE, lambda cursor, run_id: claims.promote(cursor, now=NOW)),
    (Event.CLAIM, lambda cursor, run_id: claim(cursor)),
    (Event.RENEW, lambda cursor, run_id: claims.renew(cursor, [(run_id, TOKEN)], LEASE_SECONDS, NOW)),
    (Event.SUCCEED, lambda cursor, run_id: finalize(cursor, run_id, SUCCEED)),
    (Event.FAIL, lambda cursor, run_id: finalize(cursor, run_id, FAIL)),
    (Event.RETRY, lambda cursor, run_id: finalize(cursor, run_id, RETRY)),
    (Event.RELEASE, lambda cursor, run_id: finalize(cursor, run_id, RELEASE)),
    (Event.RELEASE, lambda cursor, run_id: finalize(cursor, run_id, GIVE_BACK)),
    (Event.CANCEL, lambda cursor, run_id: finalize(cursor, run_id, CANCEL)),
    (Event.MANUAL_CANCEL, lambda cursor, run_id: interventions.cancel(cursor, [run_id], now=NOW)),
    (Event.MANUAL_RETRY, lambda cursor, run_id: interventions.retry(cursor, [run_id], now=NOW)),
]
"""What happens to a run, by the functions that the engine calls."""

PAIRS = [(status, event, act) for status, (event, act) in product(Status, HAPPENINGS)]
ALLOWED = [(*pair, TRANSITIONS[pair[:2]]) for pair in PAIRS if pair[:2] in TRANSITIONS]
FORBIDDEN = [pair for pair in PAIRS if pair[:2] not in TRANSITIONS]


def test_every_pair_is_walked() -> None:
    assert {pair[:2] for pair in PAIRS} == set(product(Status, Event))
    assert len(ALLOWED) + len(FORBIDDEN) == len(Status) * len(HAPPENINGS)


@pytest.mark.parametrize(("status", "event", "act", "target"), ALLOWED)
def test_an_allowed_event_leads_where_the_table_says(
    cursor: Cursor, status: Status, event: Event, act: Happening, target: Status
) -> None:
    run_id = insert(cursor, status)
    act(cursor, run_id)
    assert read(cursor, run_id).status == target


@pytest.mark.parametrize(("status", "event", "act"), FORBIDDEN)
def test_a_forbidden_event_writes_no_row(cursor: Cursor, status: Status, event: Event, act: Happening) -> None:
    run_id = insert(cursor, status)
    before = every_row(cursor)
    act(cursor, run_id)
    assert every_row(cursor) == before


def test_a_run_that_is_scheduled_for_later_is_not_promoted(cursor: Cursor) -> None:
    insert(cursor, Status.SCHEDULED, due_at=NOW.replace(hour=13))
    before = every_row(cursor)
    assert claims.promote(cursor, now=NOW) == 0
    assert every_row(cursor) == before


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.RUNNING])
def test_the_database_refuses_a_claim_outside_of_running(cursor: Cursor, status: Status) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="claim_only_while_running"):
        insert(cursor, status, **{**VALID[Status.RUNNING], **VALID[status]})


@pytest.mark.parametrize(
    ("status", "columns", "rule"),
    [
        (Status.READY, {"priority": 101}, "priority_bounded"),
        (Status.READY, {"spec_hash": "ab"}, "spec_hash_whole"),
        (Status.READY, {"spec_hash": "5F" * 32}, "spec_hash_whole"),
        (Status.READY, {"spec_hash": "5f" * 31 + "5\n"}, "spec_hash_whole"),
        (Status.RUNNING, {"worker_id": None}, "claim_only_while_running"),
        (Status.RUNNING, {"attempts": 2}, "attempts_are_worker_ids"),
        (Status.FAILED, {"failures": 2}, "counters_bounded"),
        (Status.READY, {"max_attempts": 0}, "counters_bounded"),
        (Status.READY, {"finished_at": NOW}, "finished_has_its_time"),
        (Status.FAILED, {"finished_at": None}, "finished_has_its_time"),
        (Status.FAILED, {"return_value": "1"}, "value_only_on_success"),
        (Status.SUCCESSFUL, {"return_value": None}, "value_only_on_success"),
        (Status.READY, {"timeout_seconds": 0}, "timeout_bounded"),
    ],
)
def test_the_database_refuses_a_row_that_breaks_an_invariant(
    cursor: Cursor, status: Status, columns: dict[str, object], rule: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match=rule):
        insert(cursor, status, **columns)
