"""A PostgreSQL 15 with pg_cron in it, and one without, each with a migrated database; commands run as processes do."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from reproq.cli import run
from reproq_django.embedded.server import Server
from tests.plugins.databases import SERVER_SETTINGS, migrate

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
LIBRARY = Path("/usr/lib/postgresql/15/lib/pg_cron.so")
DATABASE = "shop"
LOADED = {
    "shared_preload_libraries": "pg_cron",
    "cron.database_name": DATABASE,
    "cron.use_background_workers": "on",  # the server listens on its socket alone
}


def started(settings: dict[str, str]) -> Iterator[Server]:
    """A server of Debian's, with an empty database."""
    if not LIBRARY.exists():
        pytest.skip("Debian's postgresql-15-cron is not installed")
    with tempfile.TemporaryDirectory(prefix="pgcron") as folder:
        server = Server(Path(folder, "db"), binaries=PROGRAMS, version=15, settings=SERVER_SETTINGS | settings)
        with server.running(mode="immediate"):
            with psycopg.connect(server.conninfo(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {DATABASE}")
            yield server


@pytest.fixture(scope="session")
def cron_server() -> Iterator[Server]:
    """pg_cron works in the database `shop`, which is migrated; the extension is made there."""
    for server in started(LOADED):
        migrate(server.conninfo(DATABASE))
        with psycopg.connect(server.conninfo(DATABASE), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_cron")
            connection.execute("SELECT cron.schedule('somebody else''s', '0 3 * * 0', 'VACUUM')")
        yield server


@pytest.fixture
def shop(cron_server: Server) -> Iterator[str]:
    """The address of that database, without schedules and jobs of ours."""
    dsn = cron_server.conninfo(DATABASE)
    yield dsn
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM cron.job WHERE jobname LIKE 'reproq:%'")
        connection.execute("TRUNCATE periodic_tasks, reproq_ticks, task_runs, cron.job_run_details")


@pytest.fixture
def cron(shop: str) -> Iterator[psycopg.Connection]:
    """A connection, in autocommit, to that database."""
    with psycopg.connect(shop, autocommit=True) as connection:
        yield connection


@pytest.fixture
def no_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands need no Django project, and shall find none."""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")


@pytest.fixture
def pgcron(no_project, capsys):
    """Call `reproq pgcron …`; all that it said."""

    def call(dsn, *arguments, code=0):
        ended = run(["pgcron", *arguments, "--dsn", dsn])
        said = capsys.readouterr()
        assert ended == code, said.err + said.out
        return said.out + said.err

    return call
