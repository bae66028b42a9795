"""Somebody's transaction that holds rows of runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

NAME = "a forgotten shell"


@contextmanager
def locked(dsn: str, run_ids: Sequence[int], how: str = "FOR UPDATE") -> Iterator[psycopg.Connection]:
    """While a transaction of somebody else's holds the rows of these runs. It ends by itself before a test that waits
    for it would wait for ever."""
    with forgotten(dsn) as other:
        other.execute(f"SELECT FROM task_runs WHERE id = ANY(%s) {how}", [list(run_ids)])
        yield other


@contextmanager
def table_locked(dsn: str) -> Iterator[psycopg.Connection]:
    """While a transaction of somebody else's lets nobody read the table."""
    with forgotten(dsn) as other:
        other.execute("LOCK TABLE task_runs IN ACCESS EXCLUSIVE MODE")
        yield other


@contextmanager
def forgotten(dsn: str) -> Iterator[psycopg.Connection]:
    """A transaction that stays open."""
    with psycopg.connect(dsn, application_name=NAME) as other:
        other.execute("SET LOCAL idle_in_transaction_session_timeout = '20s'")
        yield other
        other.rollback()
