"""Waiting for the ends of runs."""

import psycopg

from reproq.cli.waiting import await_ends
from reproq.lifecycle import Status
from reproq.store.db import Database
from tests.store.rows import NOW, insert


def test_a_run_whose_age_is_up_while_another_is_awaited_is_told_all_the_same(dsn: str, pg: psycopg.Connection) -> None:
    with pg.cursor() as cursor:
        old, new = insert(cursor, Status.SUCCESSFUL), insert(cursor, Status.READY)
    looks = []

    class Watched(Database):
        def transaction(self):
            if looks:  # the second look: the old run is gone, the new one ends
                pg.execute("DELETE FROM task_runs WHERE id = %s", [old])
                pg.execute("UPDATE task_runs SET status = 'CANCELLED', finished_at = %s WHERE id = %s", [NOW, new])
            looks.append(None)
            return super().transaction()

    watched = Watched(dsn, "test")
    both = await_ends(watched, (old, new), 30)
    watched.close()
    assert [(run.id, run.status) for run in both] == [(old, "SUCCESSFUL"), (new, "CANCELLED")]
