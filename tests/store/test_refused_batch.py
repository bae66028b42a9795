"""A batch that PostgreSQL refuses for one row: the row is singled out and fails, the others are stored."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from reproq.errors import NotMigrated
from reproq.lifecycle import Kind, Status, Verdict
from reproq.store import rescues
from reproq.store.db import Database
from reproq.store.ends import MAX_PART_BYTES, parts, store_ends
from reproq.store.finalising import Finalisation
from reproq.store.requests import FinalizeRuns, RenewLeases
from reproq.store.rescues import RescueRuns
from reproq.store.workers import WorkerRow
from tests.store.rows import HASH, LEASE_SECONDS, NOW, SUCCEED, TOKEN, insert, read

WORKER = WorkerRow(
    worker_id="w-1", hostname="h", pid=1, queues=("default",), executor="pool", concurrency=4, version="0"
)


@pytest.fixture
def database(dsn: str):
    database = Database(dsn, "tests")
    yield database
    database.close()


def running(pg: psycopg.Connection, count: int) -> list[int]:
    query = (
        "INSERT INTO task_runs (task_path, spec_hash, status, attempts, worker_ids, claim_token, worker_id, claimed_at,"
        " lease_expires_at) SELECT 't', %s, 'RUNNING', 1, '{w-1}', %s, 'w-1', %s, %s FROM generate_series(1, %s)"
        " RETURNING id"
    )
    return [row[0] for row in pg.execute(query, [HASH, TOKEN, NOW, NOW + timedelta(seconds=30), count])]


def succeed(run_ids: list[int], *bad: tuple[int, str]) -> FinalizeRuns:
    """The batch in which these runs succeed, those at the given places with the given texts."""
    batch = [Finalisation(run_id, TOKEN, SUCCEED) for run_id in run_ids]
    for place, text in bad:
        batch[place] = batch[place]._replace(verdict=Verdict(Status.SUCCESSFUL, return_json=text))
    return FinalizeRuns(tuple(batch), "w-1")


def statuses(pg: psycopg.Connection) -> dict[str, int]:
    return dict(pg.execute("SELECT status, count(*) FROM task_runs GROUP BY status").fetchall())


@pytest.mark.lesson("nan-in-a-result")
@pytest.mark.parametrize(
    "text",
    ["NaN", "{", "", '{"a":Infinity}', "\0", '"\0"', '"\ud800"', "[" * 50_000 + "]" * 50_000],
    ids=["NaN", "brace", "empty", "Infinity", "nul", "nul in string", "surrogate", "deep"],
)
def test_one_value_that_cannot_be_stored_among_500_fails_alone(
    pg: psycopg.Connection, database: Database, text: str
) -> None:
    made = running(pg, 500)
    answer = succeed(made, (123, text)).run(database, NOW)
    assert set(answer.stored) == {(run_id, TOKEN) for run_id in made}
    assert list(answer.refused) == [(made[123], TOKEN)]
    assert statuses(pg) == {"SUCCESSFUL": 499, "FAILED": 1}
    run = read(pg.cursor(), made[123])
    (error,) = run.errors
    assert error["kind"] == Kind.BAD_RETURN
    assert error["exception_class"] == "reproq.errors.BadReturn"
    assert error["message"].startswith("the attempt ended as SUCCESSFUL, but PostgreSQL refused to store it: ")
    assert len(error["message"]) > 80
    assert (run.failures, run.attempts) == (0, 1)


def test_several_bad_values_are_each_found(pg: psycopg.Connection, database: Database) -> None:
    made = running(pg, 50)
    answer = succeed(made, (0, "NaN"), (1, "{"), (49, "]")).run(database, NOW)
    assert sorted(answer.refused) == [(made[0], TOKEN), (made[1], TOKEN), (made[49], TOKEN)]
    assert statuses(pg) == {"SUCCESSFUL": 47, "FAILED": 3}


def test_a_batch_of_bad_values_only_fails_each(pg: psycopg.Connection, database: Database) -> None:
    made = running(pg, 9)
    succeed(made, *((place, "NaN") for place in range(9))).run(database, NOW)
    assert statuses(pg) == {"FAILED": 9}


def test_a_row_whose_replacement_is_refused_too_stops_nobody_else(pg: psycopg.Connection, database: Database) -> None:
    made = running(pg, 100)
    never_again(pg, made[40])
    answer = succeed(made).run(database, NOW)
    assert list(answer.refused) == [(made[40], TOKEN)]
    assert set(answer.stored) == {(run_id, TOKEN) for run_id in made if run_id != made[40]}
    assert statuses(pg) == {"SUCCESSFUL": 99, "RUNNING": 1}
    assert "never again" in answer.refused[made[40], TOKEN]


def test_a_row_that_no_rescue_can_store_stops_no_other_rescue(pg: psycopg.Connection, database: Database) -> None:
    made = running(pg, 20)
    never_again(pg, made[3])
    answer = RescueRuns(LEASE_SECONDS, patience_seconds=10.0).run(database, NOW + timedelta(minutes=1))
    assert [one.claim.run_id for one in answer.rescued] == [run_id for run_id in made if run_id != made[3]]
    assert statuses(pg) == {"SCHEDULED": 19, "RUNNING": 1}
    ((key, task, reason, is_failed),) = [
        (one.claim.key, one.task_path, one.reason, one.is_failed) for one in answer.refused
    ]
    assert (key, task, reason, is_failed) == ((made[3], TOKEN), "t", "never again", False)


def test_a_run_whose_rescue_is_stored_by_its_replacement_is_rescued_as_failed_and_the_refusal_is_told(
    pg: psycopg.Connection, database: Database
) -> None:
    made = running(pg, 20)
    pg.execute(f"ALTER TABLE task_runs ADD CONSTRAINT no_retry CHECK (id <> {made[3]} OR status <> 'SCHEDULED')")
    answer = RescueRuns(LEASE_SECONDS, patience_seconds=10.0).run(database, NOW + timedelta(minutes=1))
    assert {one.claim.run_id: one.becomes for one in answer.rescued} == {
        run_id: Status.FAILED if run_id == made[3] else Status.SCHEDULED for run_id in made
    }
    assert [(one.claim.run_id, one.is_failed) for one in answer.refused] == [(made[3], True)]
    assert "no_retry" in answer.refused[0].reason


def test_no_claim_is_renewed_between_the_look_and_the_end_of_a_rescue_one_by_one(
    pg: psycopg.Connection, database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = running(pg, 20)
    never_again(pg, made[3])
    its_worker, renewals = Database(dsn, "w-1"), []
    late = NOW + timedelta(minutes=1)

    def renewed_before(*args: Any) -> None:
        renew = RenewLeases(WORKER, tuple((run_id, TOKEN) for run_id in made[4:]), LEASE_SECONDS, draining=False)
        renewals.append(renew.run(its_worker, late))
        store_ends(*args)

    monkeypatch.setattr(rescues, "store_ends", renewed_before)
    answer = RescueRuns(LEASE_SECONDS, patience_seconds=10.0).run(database, late)
    its_worker.close()
    (renewed,) = [one.ours.keys() - one.held_up for one in renewals]
    assert {one.claim.key for one in answer.rescued} & renewed == set(), "a lease that is valid was ended"
    assert len(answer.rescued) == 19


def never_again(pg: psycopg.Connection, run_id: int) -> None:
    """A project's own trigger that lets this run out of RUNNING never again."""
    pg.execute(
        "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never again'; END $$;"
        "CREATE TRIGGER never BEFORE UPDATE ON task_runs FOR EACH ROW"
        f" WHEN (OLD.id = {run_id}) EXECUTE FUNCTION never()"
    )


def test_what_is_no_fault_of_a_row_is_raised_and_stores_nothing(pg: psycopg.Connection, database: Database) -> None:
    made = running(pg, 10)
    pg.execute("ALTER TABLE task_runs RENAME COLUMN failures TO misses")
    with pytest.raises(NotMigrated):
        succeed(made).run(database, NOW)
    assert statuses(pg) == {"RUNNING": 10}


def test_a_bad_value_of_a_claim_that_has_passed_to_another_is_not_stored_either(
    pg: psycopg.Connection, database: Database
) -> None:
    run_id = insert(pg.cursor(), Status.RUNNING, claim_token=5)
    assert succeed([run_id], (0, "NaN")).run(database, NOW).stored == {}
    assert statuses(pg) == {"RUNNING": 1}


# Large values


def test_large_values_go_in_parts_that_keep_the_order() -> None:
    large = Verdict(Status.SUCCESSFUL, return_json="x" * (MAX_PART_BYTES // 2))
    sizes = [large, large, SUCCEED, large, SUCCEED]
    batch = tuple(Finalisation(run_id, TOKEN, verdict) for run_id, verdict in enumerate(sizes))
    made = parts(batch)
    assert [len(part) for part in made] == [2, 2, 1] or [len(part) for part in made] == [2, 3]
    assert tuple(item for part in made for item in part) == batch


def test_a_value_over_the_bound_of_a_part_goes_alone() -> None:
    large = Verdict(Status.SUCCESSFUL, return_json="x" * (MAX_PART_BYTES + 1))
    batch = tuple(Finalisation(run_id, TOKEN, verdict) for run_id, verdict in enumerate([SUCCEED, large, SUCCEED]))
    assert [len(part) for part in parts(batch)] == [1, 1, 1]
    assert parts(()) == []
