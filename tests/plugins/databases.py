"""One server a session, one migrated template, one clone of it a test.

`REPROQ_TEST_DATABASE_URL` names a server to use (databases of our own are made there, prefix `reproq_test_`); else
one of our own is started: `REPROQ_TEST_POSTGRES` chooses 18 or 16 (the wheel's) or 15 (Debian's).
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import conninfo, sql

from tests.plugins import pooler

if TYPE_CHECKING:
    from reproq_django.embedded.server import Server

PREFIX = "reproq_test_"
SERVER_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "200", "autovacuum": "off"}


ROOM_BYTES = 6 << 30
"""Of free memory: the databases of all tests that run at once, with a few of a million rows."""


class TestServer:
    """The session's server: where it is, and the template that every test's database is cloned from. The tests'
    addresses lead `through` a pooler, or straight to it."""

    __test__ = False

    def __init__(self, dsn: str, template: str, through: str = "") -> None:
        self.dsn = dsn
        self.template = template
        self._through = through or dsn
        self._left: str | None = None

    def create(self, template: str | None) -> str:
        """A new database; returns its address."""
        name = f"{PREFIX}{uuid.uuid4().hex[:16]}"
        make = "CREATE DATABASE {} TEMPLATE {}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            if connection.info.server_version >= 150000:
                make += " STRATEGY FILE_COPY"  # by way of the WAL, as is usual since 15, it costs twice as much
            connection.execute(sql.SQL(make).format(sql.Identifier(name), sql.Identifier(template or "template0")))
        return conninfo.make_conninfo(self._through, dbname=name)

    def leave(self, dsn: str) -> None:
        """A test is done with its database: drop the one before it. A backend that has just been left still exits, and
        the server would wait a tenth of a second for it."""
        before, self._left = self._left, dsn
        if before is not None:
            self.drop(before)

    def drop_left(self) -> None:
        """Drop what was left last: nothing more comes."""
        if self._left is not None:
            self.drop(self._left)

    def drop(self, dsn: str) -> None:
        name = str(conninfo.conninfo_to_dict(dsn)["dbname"])
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


FOLDER_VARIABLE = "REPROQ_TEST_FOLDER"


def roomy_memory() -> str | None:
    """Where files live in memory, if there is room: a database is cloned there in a tenth of the time."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        return None
    free = os.statvfs(memory)
    return str(memory) if free.f_bavail * free.f_frsize >= ROOM_BYTES else None


def pytest_configure(config: pytest.Config) -> None:
    """The controller names a folder; whichever process first asks for the server starts it there, under a lock."""
    if not hasattr(config, "workerinput"):
        os.environ.pop("DATABASE_URL", None)
        os.environ[FOLDER_VARIABLE] = tempfile.mkdtemp(prefix="reproq-tests-", dir=roomy_memory())


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    folder = Path(os.environ.pop(FOLDER_VARIABLE))
    if (folder / "started").exists():
        started = _started(folder)
        started.drop(conninfo.make_conninfo(started.dsn, dbname=started.template))
        pooler.stop(folder / "pooler")
        if "REPROQ_TEST_DATABASE_URL" not in os.environ:
            own_server(folder).stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


def _started(folder: Path) -> TestServer:
    dsn, template, through = (folder / "started").read_text("utf-8").split("\n")
    return TestServer(dsn, template, through)


def version() -> int:
    """The PostgreSQL that the tests start."""
    return int(os.environ.get("REPROQ_TEST_POSTGRES", "18"))


def binaries() -> Path:
    """The folder of its programs."""
    from reproq_django.embedded.binaries import wheel_binaries

    return Path("/usr/lib/postgresql/15/bin") if version() == 15 else wheel_binaries(version())


def own_server(folder: Path) -> "Server":
    """A server below this folder, not started."""
    from reproq_django.embedded.server import Server

    return Server(folder / "server", binaries=binaries(), version=version(), settings=SERVER_SETTINGS)


def _start(folder: Path) -> None:
    dsn = os.environ.get("REPROQ_TEST_DATABASE_URL")
    if not dsn:
        own = own_server(folder)
        own.start()
        dsn = own.conninfo("postgres")
    template = prepare(dsn)
    name = str(conninfo.conninfo_to_dict(template)["dbname"])
    through = pooler.start(folder / "pooler", dsn, binaries()) if pooler.wanted() else ""
    (folder / "started").write_text(f"{dsn}\n{name}\n{through}", "utf-8")


def prepare(dsn: str) -> str:
    """Make a migrated database on a server; returns its address."""
    address = TestServer(dsn, "").create(None)
    migrate(address)
    return address


def migrate(dsn: str) -> None:
    """Make our tables there, as an installation does."""
    environment = os.environ | {"REPROQ_TEST_DSN": dsn, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "-v0"],
        check=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what may tell one PostgreSQL, or one way to it, from another."""
    for item in items:
        if _is_served(item):
            item.add_marker("served")


def _is_served(item: pytest.Item) -> bool:
    """Whether it asks for the server, or its module for a part of one: there is no other way to any of them."""
    taken = {id(value) for value in vars(item.getparent(pytest.Module).obj).values()}
    return "server" in getattr(item, "fixturenames", ()) or not taken.isdisjoint(
        map(id, (own_server, binaries, version))
    )


@pytest.fixture(scope="session")
def server() -> Iterator[TestServer]:
    """The session's PostgreSQL server, with the migrated template; started by the first test that asks."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "started").exists():
            _start(folder)
    started = _started(folder)
    yield started
    started.drop_left()


@pytest.fixture
def dsn(server: TestServer) -> Iterator[str]:
    """The address of a migrated database that belongs to this test alone."""
    address = server.create(server.template)
    yield address
    server.leave(address)


@pytest.fixture
def empty_dsn(server: TestServer) -> Iterator[str]:
    """The address of an empty database that belongs to this test alone."""
    address = server.create(None)
    yield address
    server.leave(address)


@pytest.fixture
def pg(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection, in autocommit, to this test's migrated database."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        yield connection


@pytest.fixture
def empty_pg(empty_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection, in autocommit, to an empty database of this test."""
    with psycopg.connect(empty_dsn, autocommit=True, prepare_threshold=None) as connection:
        yield connection


@pytest.fixture(scope="module")
def module_dsn(server: TestServer) -> Iterator[str]:
    """The address of a migrated database that belongs to this module's tests together."""
    address = server.create(server.template)
    yield address
    server.leave(address)


@pytest.fixture(scope="module")
def _module_connection(module_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def cursor(_module_connection: psycopg.Connection) -> Iterator[psycopg.Cursor]:
    """A cursor in a transaction that is rolled back after the test: cheaper than a database of its own."""
    with _module_connection.transaction(force_rollback=True), _module_connection.cursor() as cursor:
        yield cursor
