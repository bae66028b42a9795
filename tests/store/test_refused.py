"""A server that refuses the address is told from one that is away: at once when a worker starts, and after a while to
one that was let in before."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from reproq.errors import AddressRefused
from reproq.store.db import Database
from tests.acceptance.workers import reproq
from tests.plugins.databases import own_server
from tests.store.test_thread import Ask, Loop

RULES = """
local all postgres trust
local all guest scram-sha-256
local all stranger trust
local all locked trust
"""
RIGHT, WRONG = "right-9f3", "wrong-7c1"


class Guarded:
    """A server that asks `guest` for a password, lets `stranger` in, and knows nobody else."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        rows = self.run("SHOW hba_file")
        Path(rows[0][0]).write_text(RULES)
        self.run(f"CREATE ROLE guest LOGIN SUPERUSER PASSWORD '{RIGHT}'")
        self.run("CREATE ROLE locked NOLOGIN", "CREATE ROLE outsider LOGIN", "SELECT pg_reload_conf()")

    def run(self, *texts: str) -> list[tuple[str, ...]]:
        """Execute as the owner; the rows of the last one."""
        with psycopg.connect(self._dsn, autocommit=True) as pg:
            for text in texts:
                cursor = pg.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def at(self, **parts: str) -> str:
        return conninfo.make_conninfo(self._dsn, **parts)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with own_server(tmp_path_factory.mktemp("guarded")).running(mode="immediate") as server:
        yield Guarded(server.conninfo())


REFUSED = {
    "a wrong password": ({"user": "guest", "password": WRONG}, "password authentication failed"),
    "no password": ({"user": "guest"}, "no password supplied"),
    "no such database": ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
    "no such role": ({"user": "stranger"}, 'role "stranger" does not exist'),
    "a role that may not log in": ({"user": "locked"}, "is not permitted to log in"),
    "no entry in pg_hba.conf": ({"user": "outsider"}, "no pg_hba.conf entry"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_only_a_person_can_mend_is_told_with_address_and_remedy(guarded: Guarded, why: str) -> None:
    parts, says = REFUSED[why]
    database = Database(guarded.at(**parts), "tests")
    with pytest.raises(AddressRefused) as refusal:
        database.connected()
    for part in (says, "correct the address or the server", "dbname="):
        assert part in str(refusal.value)
    assert WRONG not in str(refusal.value)


def test_a_worker_that_is_refused_at_its_start_ends_with_the_remedy(guarded: Guarded) -> None:
    dsn = guarded.at(user="guest", password=WRONG)
    ended = reproq(dsn, "worker", "--executor", "mock", check=False)
    assert ended.returncode == 2
    assert "password authentication failed" in ended.stderr
    assert "correct the address or the server" in ended.stderr
    assert WRONG not in ended.stdout + ended.stderr


def test_a_password_that_fails_during_a_fail_over_is_tried_again_with_the_reason_told(guarded: Guarded) -> None:
    loop = Loop(guarded.at(user="guest", password=RIGHT))
    assert loop.ask(Ask(("SELECT 1",)))[0].result == 1
    guarded.run(
        f"ALTER ROLE guest PASSWORD '{WRONG}'",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guest'",
    )
    loop.store.submit(Ask(("SELECT 2",)))
    try:
        loop.wait(lambda: len(loop.notices) == 2)
        assert loop.answers[1:] == []
    finally:
        guarded.run(f"ALTER ROLE guest PASSWORD '{RIGHT}'")
    loop.wait(lambda: len(loop.answers) == 2 and len(loop.notices) == 3)
    loop.close()
    assert (loop.answers[1].error, loop.answers[1].result) == (None, 2)
    assert loop.notices[0].startswith("database lost, retrying until it is back: ")
    assert loop.notices[1].startswith("database still lost, it refuses us, retrying for 300 s: ")
    assert "password authentication failed" in loop.notices[1]
    assert loop.notices[2].startswith("database back: ")
