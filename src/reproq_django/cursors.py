"""Django's own cursors on the database of a backend, wrappers and all, with parameters sent beside the text.

Written into the text, as Django has psycopg do it, they would make each CALL a statement of its own in the statistics
of a server before PostgreSQL 17. Nothing is prepared that the project's OPTIONS do not ask for: a pooler may be in
between.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

from django.db import connections
from django.db.utils import ProgrammingError
from psycopg import ClientCursor, Cursor, Pipeline
from psycopg.pq import TransactionStatus

from reproq.errors import NotMigrated
from reproq_django.conf import migrate_command

NOT_MIGRATED: Final = {"42P01", "42703", "42883"}  # no such table, column, function or procedure


@contextmanager
def opened(alias: str) -> Iterator[Any]:
    """A cursor in the open transaction of this alias. Raises NotMigrated where our tables are missing."""
    try:
        with _beside_the_text(connections[alias]) as cursor:
            yield cursor
    except ProgrammingError as error:
        if getattr(error.__cause__, "sqlstate", None) not in NOT_MIGRATED:
            raise
        raise NotMigrated(
            f"the database alias {alias!r} lacks what this version of Reproq needs ({error}); "
            f"run: {migrate_command(alias)}"
        ) from error


def _beside_the_text(connection: Any) -> Any:
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
def pipeline(alias: str) -> Iterator[None]:
    """Within it, statements are sent before the ones ahead of them are answered, where libpq knows how to. Its end asks
    the server for the last time, so that it raises what a cursor of Django's does."""
    connection = connections[alias]
    connection.ensure_connection()
    with (
        connection.wrap_database_errors,
        connection.connection.pipeline() if Pipeline.is_supported() else nullcontext(),
    ):
        yield


def commits_alone(alias: str) -> bool:
    """Whether a statement of this alias is a transaction of its own: neither Django nor anyone else has opened one."""
    connection = connections[alias]
    if connection.in_atomic_block or not connection.get_autocommit():
        return False
    return bool(connection.connection.pgconn.transaction_status == TransactionStatus.IDLE)
