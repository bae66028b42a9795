"""Whether a pooler is in between is seen by the connection itself; behind one nothing is prepared.

These tests run twice: straight to the server, and through a real PgBouncer (tests/plugins/pooler.py).
"""

import pytest

from reproq.store.db import Database
from reproq.store.requests import ListQueues
from tests.plugins import pooler


def test_a_pooler_is_recognised(dsn: str) -> None:
    database = Database(dsn, "tests")
    connection = database.connected()
    assert (connection.prepare_threshold is None) is pooler.wanted()
    database.close()


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_statement_comes_again_as_often_as_it_likes(mode: str, dsn: str) -> None:
    """Each time in another session of the server's, which another client may have used."""
    databases = [Database(dsn, "tests", pooler=mode) for _ in range(3)]
    for _ in range(8):
        for database in databases:
            assert ListQueues().run(database, None) == []
    for database in databases:
        database.close()
