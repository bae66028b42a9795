"""The store's threads: answers in order, wakes its selector, waits out an outage, hands on what waiting cannot mend."""

import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from reproq.cli.worker import longest_pause_seconds
from reproq.config import Config
from reproq.errors import ConfigurationError, NotMigrated
from reproq.lifecycle import Status
from reproq.store import finalising
from reproq.store.db import Database
from reproq.store.deadline import ImpatientConnection
from reproq.store.finalising import Finalisation
from reproq.store.requests import (
    Answer,
    AskWorkLeft,
    ClaimRuns,
    FinalizeRuns,
    ListQueues,
    Register,
    RescueAnswer,
    RescueRuns,
    SayIdle,
)
from reproq.store.thread import StoreThread
from reproq.store.workers import WorkerRow
from tests.store.proxy import Proxy
from tests.store.rows import NOW, SUCCEED, TOKEN, insert

PATIENCE_SECONDS = 20
ROW = WorkerRow(
    worker_id="w-1", hostname="here", pid=1, queues=("default",), executor="mock", concurrency=1, version="0"
)


@dataclass
class Ask:
    """A request of these tests: one SQL text for each time it is tried, the last one again and again."""

    texts: tuple[str, ...]
    tried: list[str] = field(default_factory=list)

    def run(self, database: Database, now: object) -> Any:
        self.tried.append(self.texts[min(len(self.tried), len(self.texts) - 1)])
        with database.transaction() as cursor:
            row = cursor.execute(self.tried[-1].encode()).fetchone()
            return row and row[0]


class Loop:
    """A loop that only waits: its selector must be woken by every answer and every notice."""

    def __init__(self, dsn: str, *, answer_seconds: float = 0.0, pooler: str = "auto", **options: float) -> None:
        self.store = StoreThread(Database(dsn, "w-1", answer_seconds=answer_seconds, pooler=pooler), **options)
        self.selector = selectors.DefaultSelector()
        self.answers: list[Answer] = []
        self.notices: list[str] = []
        self.store.start(self.selector)

    def ask(self, *requests: Any) -> list[Answer]:
        """Submit these, and wait for as many answers."""
        before = len(self.answers)
        for request in requests:
            self.store.submit(request)
        self.wait(lambda: len(self.answers) == before + len(requests))
        return self.answers[before:]

    def wait(self, done: Callable[[], bool]) -> None:
        while not done():
            events = self.selector.select(PATIENCE_SECONDS)
            assert events, "nothing woke the selector"
            for key, _ in events:
                key.data()
            self.answers += self.store.take_answers()
            self.notices += self.store.take_notices()

    def close(self) -> None:
        self.store.close()
        self.selector.close()


@pytest.fixture
def start() -> Iterator[Callable[[str], Loop]]:
    """Starts loops, and ends them with the test."""
    loops: list[Loop] = []

    def start(dsn: str, **options: float) -> Loop:
        loops.append(Loop(dsn, **options))
        return loops[-1]

    yield start
    for loop in loops:
        loop.close()


@pytest.fixture
def loop(dsn: str, start: Callable[[str], Loop]) -> Loop:
    return start(dsn)


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    proxy = Proxy(dsn)
    yield proxy
    proxy.close()


# Answers


def test_answers_come_in_the_order_of_their_requests_and_wake_the_selector(loop: Loop) -> None:
    requests = [Ask((f"SELECT {number}",)) for number in range(20)]
    answers = loop.ask(*requests)
    assert [answer.request for answer in answers] == requests
    assert [answer.result for answer in answers] == list(range(20))
    assert loop.notices == []


def test_the_real_requests_are_answered(loop: Loop) -> None:
    claim = ClaimRuns(queues=("default",), limit=1, draw_token=lambda: 1, worker_id="w-1", lease_seconds=30.0)
    answers = loop.ask(Register(ROW, 30.0), claim, ListQueues(), AskWorkLeft(None, 60.0))
    by_request = {type(answer.request): answer for answer in answers}  # of two lanes, each keeps only its own order
    uuid, claimed = by_request[Register], by_request[ClaimRuns]
    names, left = by_request[ListQueues], by_request[AskWorkLeft]
    assert isinstance(uuid.result, str)
    assert (claimed.result.claimed, claimed.result.next_due_seconds) == ([], None)
    assert (names.result, left.result) == ([], False)


def test_the_connection_bears_the_workers_id_and_gives_the_server_no_settings(loop: Loop) -> None:
    named, settings = loop.ask(
        Ask(("SELECT current_setting('application_name')",)),
        Ask(("SELECT count(*) FROM pg_settings WHERE source = 'client' AND name LIKE '%timeout%'",)),
    )
    assert (named.result, settings.result) == ("w-1", 0)


def test_claims_are_answered_while_an_end_waits_to_be_stored(
    pg: psycopg.Connection, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lanes, each with a connection: a row that somebody holds holds up no claim."""
    monkeypatch.setattr(finalising, "LOCK_TIMEOUT", f"{PATIENCE_SECONDS}s")  # it waits, however long the claim takes
    run_id = insert(pg.cursor(), Status.RUNNING)
    claim = ClaimRuns(queues=("default",), limit=1, draw_token=lambda: 1, worker_id="w-1", lease_seconds=30.0)
    finalise = FinalizeRuns((Finalisation(run_id, TOKEN, SUCCEED),), "w-1")
    with pg.transaction():
        pg.execute("SELECT FROM task_runs WHERE id = %s FOR UPDATE", [run_id])
        loop.store.submit(finalise)
        (claimed,) = loop.ask(claim)
    loop.wait(lambda: len(loop.answers) == 2)
    assert (claimed.request, loop.answers[1].result.stored) == (claim, {(run_id, TOKEN): Status.SUCCESSFUL})


def test_a_claim_sees_what_was_committed_before_it_could_be_known_that_the_worker_waits(
    pg: psycopg.Connection, loop: Loop
) -> None:
    """What is said of being idle goes by the claim's own lane: by another, the claim would look before it was said."""
    loop.ask(Register(ROW, 30.0))
    claim = ClaimRuns(queues=("default",), limit=1, draw_token=lambda: 1, worker_id="w-1", lease_seconds=30.0)
    with pg.transaction():
        pg.execute("SELECT FROM reproq_workers FOR UPDATE")
        run_id = insert(pg.cursor(), Status.READY)
        loop.store.submit(SayIdle(ROW, ("default",)))
        loop.store.submit(claim)
        loop.ask(Ask(("SELECT 1",)))
    loop.wait(lambda: len(loop.answers) == 4)
    assert [one.claim.run_id for one in loop.answers[-1].result.claimed] == [run_id]


def test_a_lane_that_was_idle_during_an_outage_connects_anew_and_says_nothing(dsn: str, start: Any) -> None:
    loop = start(dsn)
    (before,) = loop.ask(ListQueues())
    terminate = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'w-1' AND datname = current_database()"
    )
    (answer,) = loop.ask(Ask((terminate, "SELECT 1")))
    loop.wait(lambda: len(loop.notices) == 2)
    (after,) = loop.ask(ListQueues())
    assert (before.result, answer.result, after.result) == ([], 1, [])
    assert [notice.split(":")[0] for notice in loop.notices] == [
        "database lost, retrying until it is back",
        "database back",
    ]


def test_what_a_timeout_of_the_role_cancels_behind_a_lock_is_asked_again(
    dsn: str, pg: psycopg.Connection, start: Any
) -> None:
    """A migration that holds the table must not end the worker, and with it the runs that it has begun."""
    loop = start(conninfo.make_conninfo(dsn, options="-c statement_timeout=50"))
    with pg.transaction():
        pg.execute("LOCK TABLE task_runs")
        loop.store.submit(ListQueues())
        loop.wait(lambda: len(loop.notices) == 1)
    loop.wait(lambda: len(loop.answers) == 1)
    assert (loop.answers[0].result, loop.answers[0].error) == ([], None)
    assert "database refuses, retrying until it does not" in loop.notices[0]
    assert "statement timeout" in loop.notices[0]


# What a request costs


class CountingCursor:
    """Counts statements: each is a round trip."""

    def __init__(self, database: "Counted", cursor: psycopg.Cursor) -> None:
        self.database = database
        self.cursor = cursor

    def execute(self, *args: Any) -> psycopg.Cursor:
        self.database.trips += 1
        return self.cursor.execute(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cursor, name)


class Counted(Database):
    """Counts round trips: a transaction has one for its BEGIN, and one for its COMMIT."""

    trips = 0

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self.trips += 2
        with super().transaction() as cursor:
            yield CountingCursor(self, cursor)

    @contextmanager
    def statement(self) -> Iterator[Any]:
        with super().statement() as cursor:
            yield CountingCursor(self, cursor)


def claiming(promotes: bool) -> ClaimRuns:
    return ClaimRuns(
        queues=("default",), limit=5, draw_token=lambda: 1, worker_id="w-1", lease_seconds=30.0, promotes=promotes
    )


@pytest.fixture
def counted(dsn: str) -> Iterator[Counted]:
    database = Counted(dsn, "tests")
    yield database
    database.close()


def test_a_claim_that_finds_something_is_one_round_trip_and_tells_when_the_next_run_falls_due(
    pg: psycopg.Connection, counted: Counted
) -> None:
    insert(pg.cursor())
    insert(pg.cursor(), Status.SCHEDULED, due_at=NOW + timedelta(seconds=90))
    answer = claiming(promotes=False).run(counted, NOW)
    assert (len(answer.claimed), answer.promoted, answer.next_due_seconds) == (1, None, 90)
    assert counted.trips == 1


def test_a_claim_that_is_to_promote_takes_one_more(pg: psycopg.Connection, counted: Counted) -> None:
    insert(pg.cursor(), Status.SCHEDULED)
    answer = claiming(promotes=True).run(counted, NOW)
    assert (len(answer.claimed), answer.promoted, answer.next_due_seconds) == (1, 1, None)
    assert counted.trips == 2


def test_the_usual_ends_are_stored_by_one_round_trip(pg: psycopg.Connection, counted: Counted) -> None:
    ids = [insert(pg.cursor(), Status.RUNNING) for _ in range(3)]
    ends = tuple(Finalisation(run_id, TOKEN, SUCCEED) for run_id in ids)
    answer = FinalizeRuns(ends, "w-1").run(counted, NOW)
    assert (len(answer.stored), counted.trips) == (3, 1)


@pytest.mark.parametrize(("pooler", "prepared"), [("off", 1), ("on", 0)])
def test_statements_that_come_again_are_prepared_unless_a_pooler_cannot_hold_them(
    dsn: str, pooler: str, prepared: int
) -> None:
    database = Database(dsn, "tests", pooler=pooler).twin()
    for _ in range(8):
        ListQueues().run(database, None)
    query = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%queue_name%'"
    with database.statement() as cursor:
        assert cursor.execute(query).fetchone() == (prepared,)
    database.close()


# Outages


def test_a_connection_that_is_killed_during_a_request_is_made_again_and_the_request_answered(loop: Loop) -> None:
    killed = Ask(("SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 41 + 1"))
    (answer,) = loop.ask(killed)
    assert (answer.result, len(killed.tried)) == (42, 2)
    lost, back = loop.notices
    assert lost.startswith("database lost, retrying until it is back: ")
    assert back.startswith("database back: ")


def test_of_several_hosts_the_one_that_is_back_is_named(dsn: str, start: Any) -> None:
    real = conninfo.conninfo_to_dict(dsn)
    loop = start(conninfo.make_conninfo(dsn, host=f"/nowhere,{real['host']}", port=f"1,{real['port']}"))
    loop.ask(Ask(("SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1")))
    loop.wait(lambda: len(loop.notices) == 2)
    assert loop.notices[1].endswith(f"; host {real['host']}, port {real['port']}, answers")


def test_a_server_that_is_away_for_many_tries_gives_one_notice_a_change(proxy: Proxy, start: Any) -> None:
    loop = start(proxy.dsn)
    waiting, behind = Ask(("SELECT 1",)), Ask(("SELECT 2",))
    loop.store.submit(waiting)
    loop.store.submit(behind)
    loop.wait(lambda: len(loop.notices) == 1)
    assert len(waiting.tried) >= 1
    proxy.listen()
    loop.wait(lambda: len(loop.answers) == 2)
    assert [answer.result for answer in loop.answers] == [1, 2]
    loop.wait(lambda: len(loop.notices) == 2)
    assert [notice.split(":")[0] for notice in loop.notices] == [
        "database lost, retrying until it is back",
        "database back",
    ]


@dataclass
class Opening(Ask):
    """Ends the outage itself, at its twentieth try."""

    door: Proxy | None = None

    def run(self, database: Database, now: object) -> Any:
        if len(self.tried) == 20 and self.door is not None:
            self.door.listen()
        return super().run(database, now)


def test_whoever_pauses_briefly_is_back_soon_after_any_outage(proxy: Proxy, start: Any) -> None:
    """With the pauses of a long lease, twenty tries take more than a minute."""
    loop = start(proxy.dsn, longest_pause_seconds=0.02)
    began = time.monotonic()
    (answer,) = loop.ask(Opening(("SELECT 1",), door=proxy))
    assert answer.result == 1
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(("heartbeat", "pause"), [(10.0, 1.5), (60.0, 1.5), (0.5, 0.25)])
def test_a_worker_pauses_less_than_a_heartbeat(heartbeat: float, pause: float) -> None:
    assert longest_pause_seconds(Config(heartbeat=heartbeat, lease=3 * heartbeat)) == pause


def test_closing_while_the_database_is_away_does_not_wait_for_it(proxy: Proxy, start: Any) -> None:
    loop = start(proxy.dsn)
    loop.store.submit(Ask(("SELECT 1",)))
    loop.wait(lambda: len(loop.notices) == 1)
    loop.store.close()
    assert loop.store.take_answers() == []


def test_closing_answers_what_is_queued_first(loop: Loop) -> None:
    requests = [Ask(("SELECT pg_sleep(0.05)",)), Ask(("SELECT 1",))]
    for request in requests:
        loop.store.submit(request)
    loop.store.close()
    assert [answer.request for answer in loop.store.take_answers()] == requests


def test_a_rescue_that_was_asked_before_an_outage_is_void_after_it(
    proxy: Proxy, pg: psycopg.Connection, start: Any
) -> None:
    insert(pg.cursor(), Status.RUNNING, lease_expires_at=NOW - timedelta(days=10_000))
    loop = start(proxy.dsn)
    loop.store.submit(RescueRuns(0.0, patience_seconds=0.0))
    loop.store.submit(Ask(("SELECT 1",)))
    loop.wait(lambda: len(loop.notices) == 1)
    proxy.listen()
    loop.wait(lambda: len(loop.answers) == 2)
    assert loop.answers[0].result == RescueAnswer([], 0.0)
    (rescue,) = loop.ask(RescueRuns(0.0, patience_seconds=10.0))
    assert len(rescue.result.rescued) == 1


# What waiting cannot mend


def test_an_error_that_is_no_outage_is_the_answer_and_the_thread_lives_on(loop: Loop) -> None:
    failed, fine = loop.ask(Ask(("SELECT 1 / 0",)), Ask(("SELECT 1",)))
    assert isinstance(failed.error, psycopg.errors.DivisionByZero)
    assert (fine.error, fine.result) == (None, 1)
    assert loop.notices == []


def test_an_error_of_our_own_is_the_answer_too(loop: Loop) -> None:
    class Broken:
        def run(self, database: Database, now: object) -> None:
            raise ZeroDivisionError("ours")

    failed, fine = loop.ask(Broken(), Ask(("SELECT 1",)))
    assert isinstance(failed.error, ZeroDivisionError)
    assert fine.result == 1


def test_an_empty_database_is_not_migrated_and_the_command_is_named(empty_dsn: str, start: Any) -> None:
    for answer in start(empty_dsn).ask(Register(ROW, 30.0), ListQueues()):
        assert isinstance(answer.error, NotMigrated)
        assert "run: python manage.py migrate" in str(answer.error)


def test_tables_of_an_older_version_are_not_migrated(pg: psycopg.Connection, loop: Loop) -> None:
    pg.execute("UPDATE reproq_meta SET schema_version = 0")
    (answer,) = loop.ask(Register(ROW, 30.0))
    assert isinstance(answer.error, NotMigrated)
    assert "version 0, this Reproq needs 3" in str(answer.error)


def test_an_unknown_database_is_a_matter_of_configuration(dsn: str, start: Any) -> None:
    (answer,) = start(psycopg.conninfo.make_conninfo(dsn, dbname="reproq_test_nowhere")).ask(Ask(("SELECT 1",)))
    assert isinstance(answer.error, ConfigurationError)
    assert 'database "reproq_test_nowhere" does not exist' in str(answer.error)


def test_a_claim_whose_answer_was_lost_is_given_back_by_its_next_try_and_costs_no_attempt(
    dsn: str, pg: psycopg.Connection
) -> None:
    run_id = insert(pg.cursor(), max_attempts=1)
    tokens = iter([11, 12])
    request = ClaimRuns(
        queues=("default",), limit=1, draw_token=lambda: next(tokens), worker_id="w-1", lease_seconds=30.0
    )
    database = Database(dsn, "tests")
    request.run(database, NOW)  # and the answer never comes
    (claimed,) = request.run(database, NOW).claimed
    database.close()
    assert (claimed.claim.run_id, claimed.claim.token, claimed.claim.attempt) == (run_id, 12, 1)
    assert pg.execute("SELECT attempts, failures, releases FROM task_runs").fetchone() == (1, 0, 0)


class PidOfClaims(ListQueues):
    """The backend of the lane that takes work in."""

    def run(self, database: Database, now: object) -> Any:
        with database.statement() as cursor:
            row = cursor.execute("SELECT pg_backend_pid()").fetchone()
            return row and row[0]


def test_a_deadlock_in_one_lane_leaves_the_other_its_connection(loop: Loop) -> None:
    (before,) = loop.ask(PidOfClaims())
    deadlock = "DO $$ BEGIN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END $$"
    (answer,) = loop.ask(Ask((deadlock, "SELECT 1")))
    assert answer.result == 1
    (after,) = loop.ask(PidOfClaims())
    assert after.result == before.result
    assert [notice.split(":")[0] for notice in loop.notices] == [
        "database refuses, retrying until it does not",
        "database back",
    ]


class LosePatience:
    """The answers over the connection that is there now are awaited for a moment only; those over the next one are not
    to be late because the machine is busy."""

    def run(self, database: Database, now: object) -> None:
        connection = database.connected()
        assert isinstance(connection, ImpatientConnection)
        connection.answer_seconds = 0.5


def test_an_outage_that_one_lane_sleeps_through_is_told_once(proxy: Proxy, start: Any) -> None:
    proxy.listen()
    loop = start(proxy.dsn, answer_seconds=float(PATIENCE_SECONDS))
    loop.ask(LosePatience(), PidOfClaims())
    proxy.freeze()
    loop.store.submit(Ask(("SELECT 2",)))
    loop.wait(lambda: len(loop.notices) == 1)
    proxy.thaw()
    loop.wait(lambda: len(loop.answers) == 3)
    loop.ask(PidOfClaims())
    assert [notice.split(":")[0] for notice in loop.notices] == [
        "database lost, retrying until it is back",
        "database back",
    ]
