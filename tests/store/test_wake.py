"""`reproq_wake` and the idle flag: one NOTIFY where a worker waits, none where nobody does."""

from collections.abc import Iterator

import psycopg
import pytest

from reproq.store import workers
from reproq.store.runs import wake
from reproq.store.workers import WorkerRow

ROW = WorkerRow(worker_id="w-1", hostname="h", pid=1, queues=("a",), executor="mock", concurrency=1, version="0")


@pytest.fixture
def listening(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("LISTEN reproq_wake")
        yield connection


def heard(connection: psycopg.Connection) -> list[str]:
    """What has been said up to now: notifications come in the order of their commits, so ours is the last."""
    connection.execute("NOTIFY reproq_wake, 'the end'")
    said = []
    for notify in connection.notifies(timeout=10):
        if notify.payload == "the end":
            return said
        said.append(notify.payload)
    raise AssertionError("our own notification did not arrive")


def idle(pg: psycopg.Connection, *queues: str) -> None:
    with pg.transaction(), pg.cursor() as cursor:
        assert workers.register(cursor, ROW, 30.0)
        workers.say_idle(cursor, ROW, queues)


@pytest.mark.parametrize(
    ("waits_for", "asked", "told"),
    [
        (["a"], ["a"], ["a"]),
        (["a", "b"], ["b", "a"], ["b", "a"]),
        (["a"], ["b"], []),
        (["*"], ["b"], ["b"]),
        ([], ["a"], []),
        (["a"], ['with "quotes", {} and \\'], []),
    ],
)
def test_only_a_queue_that_a_worker_waits_for_is_named(
    pg: psycopg.Connection, listening: psycopg.Connection, waits_for: list[str], asked: list[str], told: list[str]
) -> None:
    idle(pg, *waits_for)
    with pg.cursor() as cursor:
        wake(cursor, asked)
    assert heard(listening) == told


def test_a_sql_producer_is_told_whether_somebody_was_woken(
    pg: psycopg.Connection, listening: psycopg.Connection
) -> None:
    assert pg.execute("SELECT reproq_wake(), reproq_wake('a')").fetchone() == (False, False)
    idle(pg, "a")
    assert pg.execute("SELECT reproq_wake(), reproq_wake('a'), reproq_wake('b')").fetchone() == (True, True, False)
    assert heard(listening) == ["", "a"]


def test_a_worker_that_died_is_not_waited_on(pg: psycopg.Connection) -> None:
    idle(pg, "a")
    pg.execute("UPDATE reproq_workers SET last_seen_at = now() - interval '6 minutes'")
    assert pg.execute("SELECT reproq_wake('a')").fetchone() == (False,)


def test_a_worker_that_registers_again_does_not_wait_yet(pg: psycopg.Connection) -> None:
    idle(pg, "a")
    with pg.transaction(), pg.cursor() as cursor:
        assert workers.register(cursor, ROW, 30.0)
    assert pg.execute("SELECT idle_queues FROM reproq_workers").fetchone() == ([],)


def test_a_hostile_search_path_does_not_lead_it_astray(pg: psycopg.Connection) -> None:
    idle(pg, "a")
    pg.execute("CREATE SCHEMA hostile; CREATE TABLE hostile.reproq_workers (LIKE public.reproq_workers)")
    pg.execute("SET search_path = hostile, pg_catalog")
    assert pg.execute("SELECT public.reproq_wake('a')").fetchone() == (True,)
