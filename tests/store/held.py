"""Somebody's transaction that holds rows of runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

NAME = "a forgotten shell"


@contextmanager
def locked(dsn: str, run_ids: Sequence[int], how: str = "FOR UPDATE") -> Iterator[psycopg.Connection]:
    """While a transaction of somebody else's holds the rows of these runs. It ends by itself before a test that waits
    for it would wait for ever."""
    with psycopg.connect(dsn, application_name=NAME) as other:
        other.execute("SET LOCAL idle_in_transaction_session_timeout = '20s'")
        other.execute(f"SELECT FROM task_runs WHERE id = ANY(%s) {how}", [list(run_ids)])
        yield other
        other.rollback()
