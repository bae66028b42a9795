"""What the database does not answer in time is given up, with its connection, and asked again on another one."""

import errno
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from reproq.config import Config
from reproq.lifecycle import Status
from reproq.margin import answer_seconds
from reproq.store.db import Database, is_outage
from reproq.store.deadline import AnswerOverdue, ImpatientConnection
from reproq.store.requests import RenewLeases
from tests.store.proxy import Proxy
from tests.store.rows import insert
from tests.store.test_thread import ROW, Loop

ANSWER_SECONDS = 0.5
PATIENCE_SECONDS = 10.0


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    """Patient with what will be answered, on a busy machine, too."""
    database = Database(dsn, "impatient", answer_seconds=PATIENCE_SECONDS)
    yield database
    database.close()


def lose_patience(database: Database) -> None:
    """The answers over this connection are awaited for a moment only, from now on: what follows has none."""
    connection = database.connected()
    assert isinstance(connection, ImpatientConnection)
    assert connection.answer_seconds == PATIENCE_SECONDS
    connection.answer_seconds = ANSWER_SECONDS


def test_an_answer_that_is_overdue_is_an_outage_and_the_next_statement_has_a_connection_of_its_own(
    database: Database,
) -> None:
    with database.transaction() as cursor:
        before = cursor.connection.info.backend_pid
    lose_patience(database)
    with pytest.raises(AnswerOverdue, match=r"did not answer within 0.5 s") as caught, database.transaction() as cursor:
        cursor.execute("SELECT pg_sleep(60)")
    assert is_outage(caught.value)
    with database.transaction() as cursor:
        assert cursor.connection.info.backend_pid != before


def test_an_answer_is_given_up_also_where_no_descriptor_is_left_to_tell_the_server(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_is_left(*arguments: object, **options: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(ImpatientConnection, "cancel_safe", none_is_left)
    lose_patience(database)
    with pytest.raises(AnswerOverdue), database.transaction() as cursor:
        cursor.execute("SELECT pg_sleep(60)")


def test_the_server_lets_go_of_what_a_worker_locked_that_has_vanished_in_mid_transaction(
    dsn: str, pg: psycopg.Connection
) -> None:
    run_id = insert(pg)
    pg.execute("SET lock_timeout = '20s'")

    def vanish_holding_the_row() -> None:
        with vanished.transaction() as cursor:
            cursor.execute("SELECT FROM task_runs WHERE id = %s FOR NO KEY UPDATE", [run_id])
            pg.execute("UPDATE task_runs SET priority = 1 WHERE id = %s", [run_id])  # which waits for the lock
            cursor.execute("SELECT")

    with (
        closing(Database(dsn, "vanished", answer_seconds=ANSWER_SECONDS)) as vanished,
        pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout) as caught,
    ):
        vanish_holding_the_row()
    assert is_outage(caught.value)
    assert pg.execute("SELECT priority FROM task_runs").fetchone() == (1,)


@pytest.mark.parametrize(("of_the_role", "kept"), [("100ms", "100ms"), ("1h", "500ms"), ("0", "500ms")])
def test_a_role_may_have_its_transactions_end_sooner(dsn: str, of_the_role: str, kept: str) -> None:
    options = f"-c idle_in_transaction_session_timeout={of_the_role}"
    database = Database(conninfo.make_conninfo(dsn, options=options), "test", answer_seconds=ANSWER_SECONDS)
    with database.statement() as cursor:
        assert cursor.execute("SHOW idle_in_transaction_session_timeout").fetchone() == (kept,)
    database.close()


def test_the_server_drops_a_statement_that_nobody_waits_for(database: Database, pg: psycopg.Connection) -> None:
    lose_patience(database)
    with pytest.raises(AnswerOverdue), database.transaction() as cursor:
        cursor.execute("SELECT pg_sleep(60)")
    asleep = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'impatient' AND datname = current_database()"
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while pg.execute(asleep).fetchone() != (0,):
        assert time.monotonic() < deadline, "the server still works for nobody"


@pytest.mark.waits
def test_many_answers_may_take_longer_together_than_each_may(dsn: str) -> None:
    """Each is in time by two seconds, which a busy machine may need."""
    database = Database(dsn, "impatient", answer_seconds=3.0)
    with database.transaction() as cursor:
        for _ in range(4):
            cursor.execute("SELECT pg_sleep(0.9)")
    database.close()


def test_a_statement_whose_packets_vanish_is_given_up(proxy: Proxy) -> None:
    database = Database(proxy.dsn, "impatient", answer_seconds=PATIENCE_SECONDS)
    lose_patience(database)
    proxy.freeze()
    began_s = time.monotonic()
    with pytest.raises(AnswerOverdue), database.transaction() as cursor:
        cursor.execute("SELECT 1")
    assert time.monotonic() - began_s < PATIENCE_SECONDS  # TCP alone would try for a quarter of an hour
    database.close()


def unsent_bytes(port: int) -> int:
    """What the kernel has still to send to a port of this host, also for who has closed his connection."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return sum(int(at[4].partition(":")[0], 16) for at in lines if int(at[2].partition(":")[2], 16) == port)


def test_what_is_given_up_before_it_was_sent_never_arrives(proxy: Proxy) -> None:
    port = int(conninfo.conninfo_to_dict(proxy.dsn)["port"])
    database = Database(proxy.dsn, "impatient", answer_seconds=PATIENCE_SECONDS)
    lose_patience(database)
    proxy.freeze()
    with pytest.raises(AnswerOverdue), database.statement() as cursor:
        cursor.execute("SELECT length(%s)", ["x" * (64 << 20)])  # more than fits on the way to the proxy
    assert unsent_bytes(port) < 1000  # what closes the request to cancel may be under way


def test_the_store_thread_asks_again_until_a_lock_is_let_go(dsn: str, pg: psycopg.Connection) -> None:
    run_id = insert(pg.cursor(), Status.RUNNING, claim_token=7)
    loop = Loop(dsn, answer_seconds=ANSWER_SECONDS)
    try:
        with pg.transaction():
            pg.execute("LOCK TABLE task_runs IN EXCLUSIVE MODE")
            loop.store.submit(RenewLeases(ROW, ((run_id, 7),), 30.0, draining=False))
            loop.wait(lambda: len(loop.notices) == 1)
        loop.wait(lambda: len(loop.answers) == 1)
    finally:
        loop.close()
    assert "did not answer within 0.5 s" in loop.notices[0]
    assert loop.answers[0].result.ours == {(run_id, 7): False}


@pytest.mark.parametrize(("given", "lease", "seconds"), [(8.0, 30.0, 8.0), (8.0, 2.0, 1.0), (60.0, 30.0, 15.0)])
def test_no_answer_is_awaited_for_longer_than_half_a_lease(given: float, lease: float, seconds: float) -> None:
    assert answer_seconds(Config(database_timeout=given, lease=lease, heartbeat=lease / 3)) == seconds
