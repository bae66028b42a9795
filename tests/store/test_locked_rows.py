"""Somebody's transaction holds the row of a run that a worker has claimed: that run waits, and no other."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.errors import LockNotAvailable

from reproq.lifecycle import Key, Status, Verdict
from reproq.store import ends, rescues
from reproq.store.db import Database
from reproq.store.finalising import Finalisation, finalize
from reproq.store.requests import FinalizeRuns, RenewLeases
from reproq.store.workers import WorkerRow
from tests.store.held import locked
from tests.store.rows import HASH, LEASE_SECONDS, NOW, SUCCEED, TOKEN

LATER = NOW + timedelta(seconds=10)
WORKER = WorkerRow(
    worker_id="w-1", hostname="h", pid=1, queues=("default",), executor="pool", concurrency=4, version="0"
)


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    database = Database(dsn, "tests")
    yield database
    database.close()


@pytest.fixture
def held(pg: psycopg.Connection) -> list[int]:
    """Runs that the worker has claimed."""
    query = (
        "INSERT INTO task_runs (task_path, spec_hash, status, attempts, worker_ids, claim_token, worker_id, claimed_at,"
        " lease_expires_at) SELECT 't', %s, 'RUNNING', 1, '{w-1}', %s, 'w-1', %s, %s FROM generate_series(1, 100)"
        " RETURNING id"
    )
    return [row[0] for row in pg.execute(query, [HASH, TOKEN, NOW, NOW + timedelta(seconds=30)])]


def keys(run_ids: Sequence[int]) -> list[Key]:
    return [(run_id, TOKEN) for run_id in run_ids]


def leases(pg: psycopg.Connection) -> dict[int, datetime]:
    return dict(pg.execute("SELECT id, lease_expires_at FROM task_runs").fetchall())


def renew(run_ids: Sequence[int]) -> RenewLeases:
    return RenewLeases(WORKER, tuple(keys(run_ids)), LEASE_SECONDS, draining=False)


def succeed(run_ids: Sequence[int], **given: Any) -> FinalizeRuns:
    return FinalizeRuns(tuple(Finalisation(*key, SUCCEED, attempt=1) for key in keys(run_ids)), "w-1", **given)


def statuses(pg: psycopg.Connection) -> dict[str, int]:
    return dict(pg.execute("SELECT status, count(*) FROM task_runs GROUP BY status").fetchall())


def test_a_renewal_extends_all_but_the_run_whose_row_is_held(
    pg: psycopg.Connection, database: Database, dsn: str, held: list[int]
) -> None:
    with locked(dsn, held[7:8]):
        answer = renew(held).run(database, LATER)
    assert answer.ours == dict.fromkeys(keys(held), False), "a run is not lost because somebody looks at it"
    assert answer.held_up == set(keys(held[7:8]))
    assert {run_id for run_id, ends_at in leases(pg).items() if ends_at == NOW + timedelta(seconds=30)} == {held[7]}


def test_a_row_that_only_a_foreign_key_points_to_is_renewed(
    pg: psycopg.Connection, database: Database, dsn: str, held: list[int]
) -> None:
    with locked(dsn, held, "FOR KEY SHARE"):
        assert not renew(held).run(database, LATER).held_up
    assert set(leases(pg).values()) == {LATER + timedelta(seconds=30)}


def test_a_claim_that_has_passed_on_is_lost_although_its_row_is_held(
    pg: psycopg.Connection, database: Database, dsn: str, held: list[int]
) -> None:
    pg.execute("UPDATE task_runs SET claim_token = 5, worker_id = 'w-2' WHERE id = %s", [held[7]])
    with locked(dsn, held[7:9]):
        answer = renew(held).run(database, LATER)
    assert keys(held)[7] not in answer.ours
    assert answer.held_up == {keys(held)[8]}


def test_nobody_rescues_a_run_whose_row_is_held(database: Database, dsn: str, held: list[int]) -> None:
    long_after = NOW + timedelta(minutes=5)
    with locked(dsn, held[7:8]), database.transaction() as cursor:
        rescued = rescues.rescue(cursor, LEASE_SECONDS, limit=1000, now=long_after)
    assert {one.claim.run_id for one in rescued} == set(held) - {held[7]}


@pytest.mark.parametrize(
    ("seen_ago", "started_after", "renewed_after", "ended_ago", "is_left"),
    [
        (5, -1, 10, 10, True),
        (31, -1, 10, 10, False),
        (5, 1, 10, 10, False),
        (5, -1, 0, 10, False),
        (5, -1, 10, 31, False),
    ],
    ids=["its worker is seen", "is not seen", "is another that bears its name", "never renewed it", "has had its time"],
)
def test_a_lease_that_has_ended_is_left_to_a_worker_that_lives_and_has_renewed_it(
    database: Database,
    held: list[int],
    seen_ago: int,
    started_after: int,
    renewed_after: int,
    ended_ago: int,
    is_left: bool,
) -> None:
    lease_ends = NOW + timedelta(seconds=30 + renewed_after)
    moment = lease_ends + timedelta(seconds=ended_ago)
    with database.transaction() as cursor:
        cursor.execute("UPDATE task_runs SET lease_expires_at = %s", [lease_ends])
        cursor.execute(
            "INSERT INTO reproq_workers (worker_id, started_at, last_seen_at) VALUES ('w-1', %s, %s)",
            [NOW + timedelta(seconds=started_after), moment - timedelta(seconds=seen_ago)],
        )
        assert bool(rescues.expired(cursor, LEASE_SECONDS, now=moment)) is not is_left


def test_the_ends_of_a_batch_are_stored_but_for_the_one_whose_row_is_held(
    pg: psycopg.Connection, database: Database, dsn: str, held: list[int]
) -> None:
    with locked(dsn, held[7:8]):
        answer = succeed(held).run(database, NOW)
        assert (answer.held_up, len(answer.stored), answer.refused) == ({keys(held)[7]}, 99, {})
        assert statuses(pg) == {"SUCCESSFUL": 99, "RUNNING": 1}
    assert succeed(held[7:8], tried_before=True).run(database, NOW).stored == {keys(held)[7]: Status.SUCCESSFUL}


def test_however_many_rows_are_held_there_is_one_wait_and_all_others_are_stored(
    pg: psycopg.Connection, database: Database, dsn: str, held: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []

    def counted(*args: Any) -> Any:
        try:
            return finalize(*args)
        except LockNotAvailable:
            waits.append(args)
            raise

    monkeypatch.setattr(ends, "finalize", counted)
    with locked(dsn, held[::3]):
        answer = succeed(held).run(database, NOW)
    assert (answer.held_up, len(waits)) == (set(keys(held[::3])), 1)
    assert statuses(pg) == {"RUNNING": 34, "SUCCESSFUL": 66}


def test_a_claim_that_has_passed_on_is_not_taken_for_one_that_is_held_up(
    pg: psycopg.Connection, database: Database, dsn: str, held: list[int]
) -> None:
    pg.execute("UPDATE task_runs SET claim_token = 5, worker_id = 'w-2' WHERE id = %s", [held[7]])
    with locked(dsn, held[7:9]):
        answer = succeed(held).run(database, NOW)
    assert (answer.held_up, len(answer.stored)) == ({keys(held)[8]}, 98)


def test_a_value_that_cannot_be_stored_beside_a_row_that_is_held_fails_alone(
    pg: psycopg.Connection, database: Database, dsn: str, held: list[int]
) -> None:
    batch = list(succeed(held).batch)
    batch[3] = batch[3]._replace(verdict=Verdict(Status.SUCCESSFUL, return_json="NaN"))
    with locked(dsn, held[7:8]):
        answer = FinalizeRuns(tuple(batch), "w-1").run(database, NOW)
    assert (answer.held_up, list(answer.refused)) == ({keys(held)[7]}, [keys(held)[3]])
    assert statuses(pg) == {"RUNNING": 1, "FAILED": 1, "SUCCESSFUL": 98}


def test_an_end_whose_first_try_is_still_under_way_is_found_stored_later(
    pg: psycopg.Connection, database: Database, dsn: str, held: list[int]
) -> None:
    """The answer to a first try was lost, and the server has not ended it: its own lock is the one that holds us up."""
    request = succeed(held[:1])
    with psycopg.connect(dsn) as first, first.cursor() as cursor:
        assert finalize(cursor, request.batch, 0.0, NOW)
        assert request.run(database, NOW).held_up == set(keys(held[:1]))
        first.commit()
    again = succeed(held[:1], tried_before=True)
    assert again.run(database, NOW).stored == {keys(held)[0]: Status.SUCCESSFUL}


def test_the_short_wait_is_over_with_its_statement(database: Database, held: list[int]) -> None:
    succeed(held).run(database, NOW)
    with database.statement() as cursor:
        assert cursor.execute("SHOW lock_timeout").fetchone() == ("0",)
