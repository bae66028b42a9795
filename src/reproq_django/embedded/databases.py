"""Makes a named database inside a running server: the one place of this room that opens a connection."""

from contextlib import suppress
from typing import Final

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from .server import Server

CONNECT_SECONDS: Final = 10

_seen: Final[set[tuple[int, int, str]]] = set()
"""(pid, start, name) that this process has found or made: asking costs a connection, so ask once."""


def ensure_database(server: Server, name: str) -> None:
    """Create the database unless it exists. The server must be running; two callers at once are fine.

    Raises psycopg.OperationalError, which is Django's own to whoever connects through it.
    """
    running = server.status()
    key = (running.pid, running.started_at, name) if running else None
    if key in _seen:
        return
    with _connected(server) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):  # another was faster
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    if key:
        _seen.add(key)


def _connected(server: Server) -> psycopg.Connection[TupleRow]:
    try:
        return psycopg.connect(server.conninfo(), autocommit=True, connect_timeout=CONNECT_SECONDS)
    except psycopg.errors.ConnectionTimeout:
        running = server.status()
        pid = f"pid {running.pid}" if running else "no process"
        raise psycopg.errors.ConnectionTimeout(
            f"the server of {server.path} ({pid}) did not answer within {CONNECT_SECONDS} s"
        ) from None
