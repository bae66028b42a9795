"""Who holds the row of a run: told of whom, and that whoever may see less is told less."""

import re
from collections.abc import Iterator
from importlib.resources import files

import psycopg
import pytest
from psycopg import sql

from reproq.store.db import Database
from reproq.store.holders import AskHolders, Holder, holders
from reproq.store.requests import takes_in


@pytest.fixture
def run_id(pg: psycopg.Connection) -> int:
    ((run_id,),) = pg.execute("INSERT INTO task_runs (task_path) VALUES ('x.y') RETURNING id").fetchall()
    return int(run_id)


@pytest.fixture
def other(dsn: str) -> Iterator[psycopg.Connection]:
    """Somebody whose transaction stays open."""
    with psycopg.connect(dsn, application_name="somebody") as connection:
        yield connection
        connection.rollback()


def lock(connection: psycopg.Connection, run_id: int) -> None:
    connection.execute("SELECT FROM task_runs WHERE id = %s FOR UPDATE", [run_id])


def found(pg: psycopg.Connection, *run_ids: int) -> dict[int, Holder]:
    with pg.cursor() as cursor:
        return holders(cursor, run_ids)


def test_the_session_that_holds_a_row_is_named_and_how_long_its_transaction_is_open(
    pg: psycopg.Connection, other: psycopg.Connection, run_id: int
) -> None:
    assert found(pg, run_id) == {}
    lock(other, run_id)
    holder = found(pg, run_id)[run_id]
    assert (holder.pid, holder.application) == (other.info.backend_pid, "somebody")
    assert holder.open_seconds is not None
    assert 0.0 <= holder.open_seconds < 60.0
    other.rollback()
    assert found(pg, run_id) == {}


def test_what_a_released_savepoint_has_locked_is_of_the_only_session_that_can_have_locked_it(
    pg: psycopg.Connection, other: psycopg.Connection, dsn: str, run_id: int
) -> None:
    with other.transaction(force_rollback=True):
        other.execute("UPDATE task_runs SET priority = 1 WHERE id <> %s", [run_id])
        with other.transaction():
            lock(other, run_id)
        assert found(pg, run_id)[run_id].pid == other.info.backend_pid
        with psycopg.connect(dsn) as another:
            another.execute("INSERT INTO task_runs (task_path) VALUES ('x.y')")
            assert found(pg, run_id) == {run_id: Holder()}, "it could be either"
            another.rollback()


def test_a_role_that_may_not_see_how_long_is_told_who(
    pg: psycopg.Connection, other: psycopg.Connection, dsn: str, run_id: int
) -> None:
    role = sql.Identifier(f"holders_{pg.info.dbname}")
    pg.execute(sql.SQL("CREATE ROLE {0}; GRANT SELECT ON task_runs TO {0}").format(role))
    try:
        lock(other, run_id)
        with psycopg.connect(dsn) as least:
            least.execute(sql.SQL("SET ROLE {}").format(role))
            holder = found(least, run_id)[run_id]
    finally:
        pg.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))
    assert holder == Holder(other.info.backend_pid, "somebody")
    assert str(holder) == f"the transaction of pid {holder.pid} (somebody)"


def test_where_the_question_is_refused_nobody_is_named_and_nothing_fails(
    pg: psycopg.Connection, other: psycopg.Connection, dsn: str, run_id: int
) -> None:
    pg.execute("REVOKE SELECT ON pg_locks FROM PUBLIC")
    role = sql.Identifier(f"refused_{pg.info.dbname}")
    pg.execute(sql.SQL("CREATE ROLE {0}; GRANT SELECT ON task_runs TO {0}").format(role))
    database = Database(dsn, "tests")
    try:
        lock(other, run_id)
        database.connected().execute(sql.SQL("SET ROLE {}").format(role))
        assert AskHolders(((run_id, 5),)).run(database, None) == {}
    finally:
        database.close()
        pg.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


def test_who_is_asked_about_is_asked_behind_the_renewals() -> None:
    assert not takes_in(AskHolders(()))


@pytest.mark.parametrize(
    ("holder", "says", "remedy"),
    [
        (Holder(7, "psql", 312.4), "the transaction of pid 7 (psql), open for 312 s", "pg_terminate_backend(7)"),
        (Holder(7, ""), "the transaction of pid 7", "pg_terminate_backend(7)"),
        (Holder(None, None, 9.0, "mine"), "the prepared transaction mine, open for 9 s", "ROLLBACK PREPARED"),
        (Holder(), "a transaction that locks its row", ""),
    ],
)
def test_a_holder_is_told_with_what_ends_it(holder: Holder, says: str, remedy: str) -> None:
    assert str(holder) == says
    assert remedy in holder.remedy
    assert bool(remedy) == bool(holder.remedy)


def test_whoever_asks_whether_the_lock_on_a_row_is_under_way_asks_in_the_same_words() -> None:
    """A file of SQL is one statement that can be read and run by itself, so the words stand in each of them."""
    now = files("reproq.loadtest") / "invariants" / "now"
    statements = [path.read_text("utf-8") for path in now.iterdir()]
    statements.append((files("reproq.store") / "sql" / "holders.sql").read_text("utf-8"))
    asking = [" ".join(one.split()) for one in statements if "pg_xact_status" in one]
    assert len(asking) == 4
    for words in (r"CROSS JOIN LATERAL \( SELECT run\.xmax.*?\) AS raw", r"CASE WHEN age\(run\.xmax\).*?::xid8\)"):
        assert len({found for one in asking for found in re.findall(words, one)}) == 1
        assert all(re.search(words, one) for one in asking)
