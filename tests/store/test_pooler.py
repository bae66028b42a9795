"""A real PgBouncer in transaction mode, and the server without it: what is recognised, what is done without, and what
is said where somebody was wrong about it."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from reproq.cli.doctor import Finding, examine
from reproq.config import Config
from reproq.errors import ConfigurationError, RunLocked
from reproq.store import db, listener, locked
from reproq.store.db import Database
from reproq.store.poolers import is_pooled
from reproq.store.requests import ListQueues
from tests.plugins import pooler
from tests.plugins.databases import TestServer, binaries
from tests.store.held import NAME, table_locked
from tests.store.test_listener import Loop as ListeningLoop
from tests.store.test_thread import Ask, Loop


@pytest.fixture(scope="module")
def bouncer(server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PgBouncer before the tests' server."""
    folder = Path(tmp_path_factory.mktemp("bouncer") / "pooler")
    yield pooler.start(folder, server.dsn, binaries())
    pooler.stop(folder)


@pytest.fixture
def straight(server: TestServer, dsn: str) -> str:
    """This test's database, straight on the server."""
    return conninfo.make_conninfo(server.dsn, dbname=conninfo.conninfo_to_dict(dsn)["dbname"])


@pytest.fixture
def pooled(bouncer: str, straight: str) -> str:
    """The same, through PgBouncer."""
    return conninfo.make_conninfo(bouncer, dbname=conninfo.conninfo_to_dict(straight)["dbname"])


def in_turn(dsn: str, mode: str) -> None:
    """Ask the same over three connections in turn: behind a pooler each time in another session, which others share."""
    databases = [Database(dsn, "tests", pooler=mode) for _ in range(3)]
    try:
        for _ in range(8):
            for database in databases:
                assert ListQueues().run(database, None) == []
    finally:
        for database in databases:
            database.close()


def test_a_pooler_is_recognised(straight: str, pooled: str) -> None:
    for address, behind in ((straight, False), (pooled, True)):
        database = Database(address, "tests")
        assert (is_pooled(database.connected()), database.connected().prepare_threshold is None) == (behind, behind)
        database.close()


def test_a_connection_of_which_it_is_not_known_is_not_used(pooled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_cancelled(connection: psycopg.Connection) -> bool:
        raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")

    database = Database(pooled, "tests")
    with monkeypatch.context() as patch:
        patch.setattr(db, "is_pooled", is_cancelled)
        with pytest.raises(psycopg.errors.QueryCanceled):
            database.connected()
    assert database.connected().prepare_threshold is None
    database.close()


@pytest.mark.lesson("prepared-statements-behind-a-transaction-pooler")
@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_statement_comes_again_as_often_as_it_likes(mode: str, pooled: str) -> None:
    in_turn(pooled, mode)


def test_who_looks_through_a_pooler_is_told_of_a_lock_and_leaves_no_bound_behind(
    straight: str, pooled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locked, "LOCK_SECONDS", 0.3)
    database = Database(pooled, "tests")
    with table_locked(straight) as other:
        told = rf"pid {other.info.backend_pid} \({NAME}\)"
        with pytest.raises(RunLocked, match=told), locked.looking(database) as cursor:
            cursor.execute("SELECT FROM task_runs")
    for _ in range(3):
        with database.statement() as cursor:
            assert cursor.execute("SHOW lock_timeout").fetchone() == ("0",)
    database.close()


@pytest.mark.lesson("listen-behind-a-transaction-pooler")
def test_behind_a_pooler_nobody_waits_for_notify_and_the_log_says_so(
    pooled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "PROOF_SECONDS", 0.5)
    loop = ListeningLoop(pooled)
    try:
        loop.wait(lambda: bool(loop.notices))
        assert loop.ear.hears == 0
    finally:
        loop.close()
    assert "no notification arrives, as behind a pooler in transaction mode; name an address" in loop.notices[0]


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("on", "pooler = on, but the server itself answers at host=.*; set pooler = auto"),
        ("off", "pooler = off, but a pooler answers at host=.*; set pooler = auto, unless it keeps a session"),
    ],
)
def test_who_is_wrong_about_a_pooler_is_told_once(mode: str, says: str, straight: str, pooled: str) -> None:
    loop = Loop(straight if mode == "on" else pooled, pooler=mode)
    try:
        loop.ask(*[Ask(("SELECT 1",)) for _ in range(3)])
        loop.wait(lambda: bool(loop.notices))
    finally:
        loop.close()
    assert len(loop.notices) == 1
    assert re.match(says, loop.notices[0])


def test_the_doctor_tells_it_too(straight: str, pooled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for address, mode, remedy in ((straight, "on", "set pooler = auto"), (pooled, "off", "set pooler = auto, unless")):
        patience_seconds = 20.0 if address == straight else 0.5
        monkeypatch.setattr(import_module("reproq.cli.doctor"), "LISTEN_PATIENCE_SECONDS", patience_seconds)
        found = {finding.name: finding for finding in examine(Config(dsn=address, pooler=mode))}
        assert found["pooler"].detail.startswith(f"pooler = {mode}, but ")
        assert found["pooler"].remedy.startswith(remedy)
        assert found["LISTEN"].ok is (address == straight)
    assert "pooler" not in {finding.name for finding in examine(Config(dsn=straight))}


def listen_of(**config: str) -> Finding:
    return {finding.name: finding for finding in examine(Config(**config))}["LISTEN"]


def test_behind_a_pooler_the_doctor_is_content_with_an_address_past_it_or_with_looking_at_intervals(
    straight: str, pooled: str
) -> None:
    red = listen_of(dsn=pooled)
    assert (red.ok, red.detail) == (False, "no notification arrived")
    assert "name an address of the server itself in listen_dsn, or set listen = off" in red.remedy
    past = listen_of(dsn=pooled, listen_dsn=straight)
    assert (past.ok, past.detail.partition(", ")[0]) == (True, "notifications arrive over listen_dsn")
    off = listen_of(dsn=pooled, listen="off")
    assert (off.ok, off.detail) == (True, "listen = off: workers look every 1 s")


def test_the_doctor_says_what_is_wrong_with_an_address_for_listen(
    server: TestServer, straight: str, pooled: str
) -> None:
    through = listen_of(dsn=straight, listen_dsn=pooled)
    assert (through.ok, through.detail.partition(", ")[0]) == (False, "no notification arrived over listen_dsn")
    away = listen_of(dsn=straight, listen_dsn=conninfo.make_conninfo(straight, host="127.0.0.1", port="1"))
    assert (away.ok, away.remedy.partition(":")[0]) == (False, "correct listen_dsn, or set listen = off")
    assert away.detail.startswith("listen_dsn: the database host=127.0.0.1 port=1 ")
    another = listen_of(dsn=straight, listen_dsn=conninfo.make_conninfo(straight, dbname="postgres"))
    assert (another.ok, another.detail.partition(" to ")[0]) == (False, "listen_dsn leads")
    assert "make listen_dsn lead to the same one" in another.remedy


def test_where_a_pooler_that_must_not_be_there_loses_statements_the_remedy_is_said(pooled: str) -> None:
    with pytest.raises(ConfigurationError, match=r"pooler = off, but our session with .* is not our own \(prepared"):
        in_turn(pooled, "off")
