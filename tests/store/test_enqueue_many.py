"""Many runs by one statement: each row as `enqueue` would have written it."""

from datetime import timedelta

import psycopg
import pytest

from reproq.spec import make_spec
from reproq.store.runs import NewRun, enqueue, enqueue_many
from tests.store.rows import NOW

RUNS = (
    NewRun(spec=make_spec("a.b", [1, 1.0, "\u2028 \\ \" {,} NULL 'x' 🙂"], {"b": 1e16, "a": None}), nonce=-(2**63)),
    NewRun(spec=make_spec("a.c", [], {}), nonce=5, backend="other", queue_name="mail,{}", priority=-100),
    NewRun(spec=make_spec("a.c", [], {}), nonce=6, run_after=NOW + timedelta(hours=1), backoff_seconds=(0.5, 2.0)),
    NewRun(spec=make_spec("a.c", [], {}), nonce=7, run_after=NOW - timedelta(hours=1), timeout_seconds=2.5),
    NewRun(spec=make_spec("a.c", [2], {}), nonce=2**63 - 1, delay_seconds=90.0, max_attempts=9, backoff_seconds=()),
    NewRun(spec=make_spec("a.c", [3], {}), nonce=8, delay_seconds=90.0, expires_in_seconds=0.5),
    NewRun(spec=make_spec("a.c", [3], {}), nonce=9, expires_in_seconds=60.0),
    NewRun(spec=make_spec("a.c", [3], {}), nonce=11, on_lost_contact="stop"),
    NewRun(spec=make_spec("a.c", [], {}), nonce=10, run_after=NOW - timedelta(hours=1), expires_in_seconds=60.0),
)


def rows(cursor: psycopg.Cursor) -> list[tuple[object, ...]]:
    columns = [column.name for column in cursor.execute("SELECT * FROM task_runs LIMIT 0").description]
    kept = ", ".join(f"{name}::text" for name in columns if name != "id")
    return cursor.execute(f"SELECT {kept} FROM task_runs ORDER BY id").fetchall()


def test_every_row_is_the_one_that_enqueue_writes(cursor: psycopg.Cursor) -> None:
    answers = [enqueue(cursor, run, NOW) for run in RUNS]
    one_by_one = rows(cursor)
    cursor.execute("DELETE FROM task_runs")
    together = enqueue_many(cursor, RUNS, NOW)
    assert rows(cursor) == one_by_one
    assert [answer.run_after for answer in together] == [answer.run_after for answer in answers]


def test_the_answers_are_in_the_order_of_the_runs(cursor: psycopg.Cursor) -> None:
    batch = [NewRun(spec=make_spec("a.b", [number], {}), nonce=number) for number in range(2000, 0, -1)]
    answers = enqueue_many(cursor, batch, NOW)
    nonces = dict(cursor.execute("SELECT id, nonce FROM task_runs").fetchall())
    assert [nonces[answer.run_id] for answer in answers] == [run.nonce for run in batch]


def test_the_hash_is_pythons_and_the_filling_trigger_stays_silent(cursor: psycopg.Cursor) -> None:
    enqueue_many(cursor, RUNS, NOW)
    stored = cursor.execute("SELECT spec_hash FROM task_runs ORDER BY id").fetchall()
    assert [spec_hash for (spec_hash,) in stored] == [run.spec.spec_hash for run in RUNS]
    computed = cursor.execute("SELECT reproq_spec_hash(task_path, args, kwargs) FROM task_runs ORDER BY id").fetchall()
    assert computed == stored


def test_nothing_in_and_nothing_out(cursor: psycopg.Cursor) -> None:
    assert enqueue_many(cursor, [], NOW) == []


def test_one_bad_run_leaves_none_behind(pg: psycopg.Connection) -> None:
    bad = NewRun(spec=make_spec("a.b", [], {}), nonce=1, priority=101)
    with pytest.raises(psycopg.errors.CheckViolation), pg.transaction(), pg.cursor() as cursor:
        enqueue_many(cursor, [*RUNS, bad])
    assert pg.execute("SELECT count(*) FROM task_runs").fetchone() == (0,)
