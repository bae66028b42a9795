"""Servers of a test's own that copy one another: a primary, and a standby that each durable commit waits for."""

import time
from pathlib import Path

import psycopg
from psycopg import conninfo

from reproq_django.embedded.ownership import make_private, runner_for
from reproq_django.embedded.server import Server
from tests.plugins.databases import binaries, own_server

COPY_SECONDS = 60.0
ADMIT = "echo 'local replication all trust' >> data/pg_hba.conf"
FOLLOW = """touch data/standby.signal && cat >> data/postgresql.auto.conf <<'END'
primary_conninfo = '{primary}'
synchronous_standby_names = ''
default_transaction_read_only = off
END"""


def primary_in(folder: Path) -> Server:
    """A server that others may copy, started."""
    server = own_server(folder)
    server.start()
    _shell(server, ADMIT)
    _ask(server, "SELECT pg_reload_conf()")
    return server


def standby_of(primary: Server, folder: Path) -> Server:
    """A copy of a primary, started, which follows it."""
    server = own_server(folder)
    make_private(server.path)
    command = f'{binaries()}/pg_basebackup -D data -R -X stream -c fast --no-sync -d "{_address(primary)}"'
    _shell(server, command)
    server.start()
    _wait_for_standby(primary)
    return server


def follow(server: Server, primary: Server) -> None:
    """Start a server that has ended in order, as the standby of the one that was promoted in its place."""
    _shell(server, FOLLOW.format(primary=_address(primary)))
    server.start()
    _wait_for_standby(primary)


def demote(primary: Server) -> None:
    """It takes no more writes, though it still runs: its connections live on."""
    _ask(primary, "ALTER SYSTEM SET default_transaction_read_only = on")
    _ask(primary, "SELECT pg_reload_conf()")


def promote(standby: Server) -> None:
    """Make it a primary, and wait until it is one."""
    _ask(standby, "SELECT pg_promote()")


def _wait_for_standby(primary: Server) -> None:
    """From here on each commit that is to be durable waits until the standby has it, too."""
    _ask(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
    _ask(primary, "SELECT pg_reload_conf()")
    deadline = time.monotonic() + COPY_SECONDS
    while not _ask(primary, "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"):
        assert time.monotonic() < deadline, "the standby does not follow"
        time.sleep(0.02)


def _address(primary: Server) -> str:
    return conninfo.make_conninfo(primary.conninfo(), dbname="replication")


def _ask(server: Server, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.conninfo(), autocommit=True) as pg:
        cursor = pg.execute(query)
        return cursor.fetchall() if cursor.description is not None else []


def _shell(server: Server, command: str) -> None:
    """As the owner of the server's files."""
    runner = runner_for(server.path, binaries())
    code, said = runner.run(["/bin/sh", "-c", command], cwd=server.path, timeout_seconds=COPY_SECONDS)
    assert code == 0, said
