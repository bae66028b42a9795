"""One server a session, one migrated template, one clone of it a test.

`REPROQ_TEST_DATABASE_URL` names a server to use (databases of our own are made there, prefix `reproq_test_`); else
one of our own is started: `REPROQ_TEST_POSTGRES` chooses 18 or 16 (the wheel's) or 15 (Debian's).
"""

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql

PREFIX = "reproq_test_"
SERVER_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "200", "autovacuum": "off"}


class TestServer:
    """The session's server: where it is, and the template that every test's database is cloned from."""

    __test__ = False

    def __init__(self, dsn: str, template: str) -> None:
        self.dsn = dsn
        self.template = template

    def create(self, template: str | None) -> str:
        """A new database; returns its address."""
        name = f"{PREFIX}{uuid.uuid4().hex[:16]}"
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(make.format(sql.Identifier(name), sql.Identifier(template or "template0")))
        return conninfo.make_conninfo(self.dsn, dbname=name)

    def drop(self, dsn: str) -> None:
        name = str(conninfo.conninfo_to_dict(dsn)["dbname"])
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def pytest_configure(config: pytest.Config) -> None:
    """The controller starts the server once; xdist's workers find it in the environment."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    os.environ.pop("DATABASE_URL", None)
    folder = Path(tempfile.mkdtemp(prefix="reproq-tests-"))
    config.stash[FOLDER] = folder
    given = os.environ.get("REPROQ_TEST_DATABASE_URL")
    if not given:
        given = _start_server(config, folder)
    server = TestServer(given, "")
    template = server.create(None)
    config.stash[TEMPLATE] = (server, template)
    _migrate(template)
    os.environ["REPROQ_TEST_SERVER_DSN"] = given
    os.environ["REPROQ_TEST_TEMPLATE"] = str(conninfo.conninfo_to_dict(template)["dbname"])


FOLDER = pytest.StashKey[Path]()
TEMPLATE = pytest.StashKey[tuple[TestServer, str]]()
SERVER = pytest.StashKey[object]()


def _start_server(config: pytest.Config, folder: Path) -> str:
    from reproq_django.embedded.server import Server

    version = int(os.environ.get("REPROQ_TEST_POSTGRES", "18"))
    binaries = Path("/usr/lib/postgresql/15/bin") if version == 15 else None
    server = Server(folder / "server", binaries=binaries, version=version, settings=SERVER_SETTINGS)
    server.start()
    config.stash[SERVER] = server
    return server.conninfo("postgres")


def _migrate(dsn: str) -> None:
    environment = os.environ | {"REPROQ_TEST_DSN": dsn, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "-v0"],
        check=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    if TEMPLATE in config.stash:
        server, template = config.stash[TEMPLATE]
        server.drop(template)
    if SERVER in config.stash:
        config.stash[SERVER].stop("immediate")  # type: ignore[attr-defined]
    if FOLDER in config.stash:
        shutil.rmtree(config.stash[FOLDER], ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> TestServer:
    """The session's PostgreSQL server."""
    return TestServer(os.environ["REPROQ_TEST_SERVER_DSN"], os.environ["REPROQ_TEST_TEMPLATE"])


@pytest.fixture
def dsn(server: TestServer) -> Iterator[str]:
    """The address of a migrated database that belongs to this test alone."""
    address = server.create(server.template)
    yield address
    server.drop(address)


@pytest.fixture
def empty_dsn(server: TestServer) -> Iterator[str]:
    """The address of an empty database that belongs to this test alone."""
    address = server.create(None)
    yield address
    server.drop(address)


@pytest.fixture
def pg(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection, in autocommit, to this test's migrated database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def module_dsn(server: TestServer) -> Iterator[str]:
    """The address of a migrated database that belongs to this module's tests together."""
    address = server.create(server.template)
    yield address
    server.drop(address)


@pytest.fixture(scope="module")
def _module_connection(module_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def cursor(_module_connection: psycopg.Connection) -> Iterator[psycopg.Cursor]:
    """A cursor in a transaction that is rolled back after the test: cheaper than a database of its own."""
    with _module_connection.transaction(force_rollback=True), _module_connection.cursor() as cursor:
        yield cursor
