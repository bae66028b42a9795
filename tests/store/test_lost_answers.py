"""An end whose answer was lost: it is stored once, and whoever asks again is told what became of it, never guesses."""

from collections.abc import Iterator

import psycopg
import pytest

from reproq.lifecycle import Claim, Failure, Kind, Outcome, Release, Status, Success, decide, failure_of_kind
from reproq.store.db import Database
from reproq.store.finalising import Finalisation
from reproq.store.requests import FinalizeRuns
from tests.store.proxy import Fate, Proxy
from tests.store.rows import HASH, NOW, TOKEN, every_row, insert
from tests.store.test_thread import Loop

ENDS = {
    "success": (Success("1"), Status.SUCCESSFUL),
    "retry": (Failure(Kind.EXCEPTION, "x.Y", "broken"), Status.SCHEDULED),
    "failure": (failure_of_kind(Kind.BAD_RETURN, "not storable"), Status.FAILED),
    "given back": (Release("drain", started=True), Status.READY),
    "given back unbegun": (Release("drain", started=False), Status.READY),
}


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    database = Database(dsn, "tests")
    yield database
    database.close()


def ending(run_id: int, outcome: Outcome, worker_id: str = "w-1") -> FinalizeRuns:
    verdict = decide(Claim(run_id, TOKEN, 1, 0, 0, 3, HASH), outcome)
    return FinalizeRuns((Finalisation(run_id, TOKEN, verdict, attempt=1),), worker_id)


@pytest.mark.parametrize(("outcome", "status"), ENDS.values(), ids=ENDS)
def test_an_end_that_is_asked_again_after_it_was_stored_is_known_to_be_stored(
    outcome: Outcome, status: Status, database: Database, pg: psycopg.Connection
) -> None:
    run_id = insert(pg.cursor(), Status.RUNNING)
    request = ending(run_id, outcome)
    request.run(database, NOW)  # and its answer is lost
    before = every_row(pg.cursor())
    assert request.run(database, NOW).stored == {(run_id, TOKEN): status}
    assert every_row(pg.cursor()) == before


def test_it_is_known_also_when_the_next_attempt_is_under_way(database: Database, pg: psycopg.Connection) -> None:
    run_id = insert(pg.cursor(), Status.RUNNING)
    request = ending(run_id, Failure(Kind.EXCEPTION, "x.Y", "broken"))
    request.run(database, NOW)
    pg.execute(
        "UPDATE task_runs SET status = 'RUNNING', attempts = 2, worker_ids = worker_ids || 'w-2'::text,"
        " claim_token = 5, worker_id = 'w-2', claimed_at = now(), lease_expires_at = now()"
    )
    assert request.run(database, NOW).stored == {(run_id, TOKEN): Status.SCHEDULED}


@pytest.mark.parametrize(
    "meanwhile",
    [
        "UPDATE task_runs SET claim_token = 5",  # a claim of its own, which a crash had forgotten
        "UPDATE task_runs SET status = 'SCHEDULED', claim_token = NULL, worker_id = NULL, claimed_at = NULL,"
        """ lease_expires_at = NULL, failures = 1, errors = '[{"kind": "lease_expired", "attempt": 1}]'""",
        "UPDATE task_runs SET worker_id = 'w-2', worker_ids = '{w-2}', claim_token = 5",
        "DELETE FROM task_runs",
    ],
)
def test_a_claim_that_passed_to_somebody_is_not_taken_for_an_end_that_was_stored(
    meanwhile: str, database: Database, pg: psycopg.Connection
) -> None:
    run_id = insert(pg.cursor(), Status.RUNNING)
    request = ending(run_id, Success("1"))
    pg.execute(meanwhile)
    assert request.run(database, NOW).stored == {}
    assert request.run(database, NOW).stored == {}


@pytest.mark.lesson("lost-commit-taken-for-failure-or-for-success")
@pytest.mark.parametrize("fate", [Fate.CUT, Fate.LOSE_ANSWER])
def test_whether_the_end_or_the_answer_to_its_commit_was_lost_it_is_stored_once_and_known(
    fate: Fate, proxy: Proxy, pg: psycopg.Connection
) -> None:
    """Both look alike from here: the connection broke before an answer. Who takes it for a failure puts a run back that
    has ended, who takes it for a success loses the end that never arrived."""
    run_id = insert(pg.cursor(), Status.RUNNING)
    fates = iter([fate])
    proxy.fate = lambda message: next(fates, Fate.PASS) if b"UPDATE task_runs" in message else Fate.PASS
    loop = Loop(proxy.dsn)
    try:
        (answer,) = loop.ask(ending(run_id, Success("1")))
        loop.wait(lambda: len(loop.notices) == 2)
    finally:
        loop.close()
    assert answer.result.stored == {(run_id, TOKEN): Status.SUCCESSFUL}
    assert next(fates, None) is None, "nothing was lost"
    row = pg.execute("SELECT status, attempts, return_value::text, releases FROM task_runs").fetchone()
    assert row == ("SUCCESSFUL", 1, "1", 0)


def test_an_end_that_is_asked_for_once_asks_nothing_more(database: Database, pg: psycopg.Connection) -> None:
    run_id = insert(pg.cursor(), Status.RUNNING)
    request = ending(run_id, Success("1"))
    request.run(database, NOW)
    assert ending(run_id, Success("1")).run(database, NOW).stored == {}  # another asks, for the first time
