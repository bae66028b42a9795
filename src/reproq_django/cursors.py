"""Django's own cursors on the database of a backend, wrappers and all, with parameters sent beside the text.

Written into the text, as Django has psycopg do it, they would make each CALL a statement of its own in the statistics
of a server before PostgreSQL 17. Nothing is prepared that the project's OPTIONS do not ask for: a pooler may be in
between.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

from django.db.utils import ProgrammingError
from psycopg import ClientCursor, Cursor, Pipeline
from psycopg.pq import TransactionStatus

from reproq.errors import NotMigrated
from reproq_django.conf import migrate_command

NOT_MIGRATED: Final = {"42P01", "42703", "42883"}  # no such table, column, function or procedure


class Opened:
    """A cursor in the open transaction of this connection. Raises NotMigrated where our tables are missing."""

    __slots__ = ("_connection", "_cursor")

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __enter__(self) -> Any:
        self._cursor = _beside_the_text(self._connection)
        return self._cursor

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._cursor.__exit__(kind, error, trace)
        if isinstance(error, ProgrammingError) and getattr(error.__cause__, "sqlstate", None) in NOT_MIGRATED:
            alias = self._connection.alias
            raise NotMigrated(
                f"the database alias {alias!r} lacks what this version of Reproq needs ({error}); "
                f"run: {migrate_command(alias)}"
            ) from error


def _beside_the_text(connection: Any) -> Any:
    if connection.connection is None:
        connection.ensure_connection()
    session = connection.connection
    chosen = session.cursor_factory
    if not issubclass(chosen, ClientCursor):
        return connection.cursor()
    session.cursor_factory = Cursor
    try:
        return connection.cursor()
    finally:
        session.cursor_factory = chosen


@contextmanager
def pipeline(connection: Any) -> Iterator[None]:
    """Within it, statements are sent before the ones ahead of them are answered, where libpq knows how to. Its end asks
    the server for the last time, so that it raises what a cursor of Django's does."""
    connection.ensure_connection()
    with (
        connection.wrap_database_errors,
        connection.connection.pipeline() if Pipeline.is_supported() else nullcontext(),
    ):
        yield


def commits_alone(connection: Any) -> bool:
    """Whether a statement of this connection, which is open, is a transaction of its own: neither Django nor anyone
    else has opened one."""
    if connection.in_atomic_block or not connection.autocommit:
        return False
    return bool(connection.connection.pgconn.transaction_status == TransactionStatus.IDLE)
