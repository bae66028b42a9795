"""The listener: hands on what producers name, comes back after a lost connection, and gives up where it cannot work."""

import selectors
import threading
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from types import SimpleNamespace

import psycopg
import pytest
from psycopg import conninfo

from reproq.store import listener, server
from reproq.store.db import Database, opened
from reproq.store.listener import Listener
from reproq.store.server import listen_works

PATIENCE_SECONDS = 20


class Loop:
    """A loop that only waits for its listener."""

    def __init__(self, dsn: str) -> None:
        self.ear = Listener(Database(dsn, "w-1"))
        self.selector = selectors.DefaultSelector()
        self.heard: list[str] = []
        self.notices: list[str] = []
        self.ear.start(self.selector)

    def wait(self, done: Callable[[], bool]) -> None:
        while not done():
            events = self.selector.select(PATIENCE_SECONDS)
            assert events, "nothing woke the selector"
            for key, _ in events:
                key.data()
            self.heard += self.ear.take_heard()
            self.notices += self.ear.take_notices()

    def close(self) -> None:
        self.ear.close()
        self.selector.close()


@pytest.fixture
def start() -> Iterator[Callable[[str], Loop]]:
    """Starts loops, and ends them with the test."""
    loops: list[Loop] = []

    def start(dsn: str) -> Loop:
        loops.append(Loop(dsn))
        return loops[-1]

    yield start
    for loop in loops:
        loop.close()


@pytest.fixture
def loop(dsn: str, start: Callable[[str], Loop]) -> Loop:
    found = start(dsn)
    found.wait(lambda: found.ear.hears == 1)
    return found


def kill(pg: psycopg.Connection) -> None:
    pg.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
    )


def test_what_producers_name_wakes_the_loop_in_order(pg: psycopg.Connection, loop: Loop) -> None:
    for name in ("default", "", "é"):
        pg.execute("SELECT pg_notify('reproq_wake', %s)", [name])
    loop.wait(lambda: len(loop.heard) == 3)
    assert (loop.heard, loop.notices) == (["default", "", "é"], [])


def test_a_lost_connection_is_told_once_and_made_again(
    pg: psycopg.Connection, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "FIRST_RETRY_SECONDS", 0.01)
    kill(pg)
    loop.wait(lambda: loop.ear.hears == 2 and len(loop.notices) == 2)
    assert loop.notices[0].startswith("LISTEN lost, the worker polls until it is back: ")
    assert loop.notices[1] == "LISTEN is back"
    pg.execute("NOTIFY reproq_wake, 'default'")
    loop.wait(lambda: loop.heard == ["default"])


def test_where_no_notification_arrives_it_says_so_once_with_the_remedy_and_gives_up(
    dsn: str, start: Callable[[str], Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "listen_works", lambda database, patience_seconds, is_over: False)
    loop = start(dsn)
    loop.wait(lambda: bool(loop.notices))
    (notice,) = loop.notices
    assert notice.startswith("LISTEN does not work at ")
    assert "listen_dsn" in notice
    assert "listen = off" in notice
    assert loop.ear.hears == 0


def test_whoever_awaits_a_notification_stops_when_nobody_wants_to_know_any_more(dsn: str) -> None:
    """Behind a pooler none comes: a worker that was stopped waited for the end of the proof, for five seconds."""
    with opened(dsn, "w-1") as database:
        assert not listen_works(database, PATIENCE_SECONDS, is_over=lambda: True)
        assert listen_works(database, PATIENCE_SECONDS)


def test_a_notification_that_came_while_the_process_was_stopped_is_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a machine that stands still for seconds when a worker starts costs it LISTEN for the rest of its life."""
    monkeypatch.setattr(server, "LOOK_SECONDS", PATIENCE_SECONDS)
    times = chain([0.0], repeat(3600.0))
    monkeypatch.setattr(server, "time", SimpleNamespace(monotonic=lambda: next(times)))
    with opened(dsn, "w-1") as database:
        assert listen_works(database, PATIENCE_SECONDS)


def test_a_listener_that_is_closed_during_its_proof_says_nothing(
    dsn: str, start: Callable[[str], Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_it = threading.Event()

    def proof(database: Database, patience_seconds: float, is_over: Callable[[], bool]) -> bool:
        at_it.set()
        while not is_over():
            threading.Event().wait(0.01)
        return False

    monkeypatch.setattr(listener, "listen_works", proof)
    loop = start(dsn)
    assert at_it.wait(PATIENCE_SECONDS)
    loop.close()
    assert "reproq-listener" not in [thread.name for thread in threading.enumerate()]
    assert loop.notices == []


def test_a_refused_address_is_told_and_never_tried_again(dsn: str, start: Callable[[str], Loop]) -> None:
    loop = start(conninfo.make_conninfo(dsn, dbname="there_is_none"))
    loop.wait(lambda: bool(loop.notices))
    assert "does not exist" in loop.notices[0]
    assert loop.ear.hears == 0


def test_closing_ends_the_thread_at_once(loop: Loop) -> None:
    loop.close()
    assert "reproq-listener" not in [thread.name for thread in threading.enumerate()]
    assert loop.ear.hears == 0
