"""Enqueueing from SQL: the same spec, hash and bounds as from Python, and usable from a project's own triggers."""

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from reproq.spec import make_spec
from tests.docs.pages import blocks_of

CALLS, TRIGGER_EXAMPLE, WAKE, WAKE_AT_COMMIT = (
    block.text for block in blocks_of("how-to/enqueue-from-sql.md") if block.language == "sql"
)


def run(pg: psycopg.Connection, run_id: int) -> tuple[object, ...]:
    columns = "task_path, args::text, kwargs::text, spec_hash, queue_name, priority, status, max_attempts"
    return pg.execute(f"SELECT {columns} FROM task_runs WHERE id = %s", [run_id]).fetchone()


def test_a_path_alone_is_enough(pg: psycopg.Connection) -> None:
    (run_id,) = pg.execute("SELECT reproq_enqueue('shop.tasks.greet')").fetchone()
    spec = make_spec("shop.tasks.greet", [], {})
    assert run(pg, run_id) == ("shop.tasks.greet", "[]", "{}", spec.spec_hash, "default", 0, "READY", 3)


def test_arguments_are_stored_as_they_were_sent_and_hashed_as_in_python(pg: psycopg.Connection) -> None:
    args, kwargs = '[1, 1.0, "\\u2028"]', '{"b": 1e16, "a": null}'
    query = "SELECT reproq_enqueue('x.y', %s::json, %s::json, queue_name => 'mail', priority => 7)"
    (run_id,) = pg.execute(query, [args, kwargs]).fetchone()
    spec = make_spec("x.y", json.loads(args), json.loads(kwargs))
    assert run(pg, run_id) == ("x.y", args, kwargs, spec.spec_hash, "mail", 7, "READY", 3)


def test_a_run_after_a_later_moment_is_scheduled_for_it(pg: psycopg.Connection) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    later = now + timedelta(hours=1)
    query = "SELECT reproq_enqueue('x.y', run_after => %s, now => %s)"
    (run_id,) = pg.execute(query, [later, now]).fetchone()
    row = pg.execute("SELECT status, due_at, run_after, enqueued_at FROM task_runs WHERE id = %s", [run_id]).fetchone()
    assert row == ("SCHEDULED", later, later, now)


def test_arguments_over_the_bound_are_refused_with_bound_and_remedy(pg: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="over the bound of 1048576") as caught:
        pg.execute("SELECT reproq_enqueue('x.y', json_build_array(repeat('x', 1048576)))")
    assert "pass a reference" in str(caught.value.diag.message_hint)
    assert pg.execute("SELECT count(*) FROM task_runs").fetchone() == (0,)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("reproq_enqueue('x.y', '[1e400]')", psycopg.errors.NumericValueOutOfRange),
        ("reproq_enqueue('x.y', '{}')", psycopg.errors.InvalidParameterValue),
        ("reproq_enqueue('x.y', priority => 101)", psycopg.errors.CheckViolation),
        ("reproq_enqueue('x.y', max_attempts => 0)", psycopg.errors.CheckViolation),
        ("reproq_enqueue('x.y', timeout_seconds => 0)", psycopg.errors.CheckViolation),
        ("reproq_enqueue('x.y', timeout_seconds => -1)", psycopg.errors.CheckViolation),
        ("reproq_enqueue('x.y', timeout_seconds => 2592001)", psycopg.errors.CheckViolation),
        ("reproq_enqueue('x.y', expires_at => now() - interval '1 second')", psycopg.errors.CheckViolation),
        ("reproq_enqueue('x.y', expires_at => 'infinity')", psycopg.errors.CheckViolation),
        ("reproq_enqueue('x.y', on_lost_contact => 'panic')", psycopg.errors.CheckViolation),
        ("reproq_enqueue(NULL)", psycopg.errors.NotNullViolation),
    ],
)
def test_what_python_refuses_sql_refuses_too(pg: psycopg.Connection, call: str, error: type[psycopg.Error]) -> None:
    with pytest.raises(error):
        pg.execute(f"SELECT {call}")


def test_a_run_that_must_not_overlap_says_so(pg: psycopg.Connection) -> None:
    pg.execute("SELECT reproq_enqueue('x.y', on_lost_contact => 'stop'), reproq_enqueue('x.y')")
    stored = pg.execute("SELECT on_lost_contact FROM task_runs ORDER BY id").fetchall()
    assert stored == [("stop",), (None,)]


def test_a_hostile_search_path_does_not_lead_it_astray(pg: psycopg.Connection) -> None:
    pg.execute("CREATE SCHEMA hostile; CREATE TABLE hostile.task_runs (LIKE public.task_runs INCLUDING DEFAULTS)")
    pg.execute("SET search_path = hostile, pg_catalog")
    pg.execute("SELECT public.reproq_enqueue('x.y')")
    assert pg.execute("SELECT count(*) FROM public.task_runs").fetchone() == (1,)


def test_a_projects_own_trigger_enqueues_in_its_transaction(pg: psycopg.Connection) -> None:
    pg.execute(TRIGGER_EXAMPLE)
    pg.execute("INSERT INTO orders (id) VALUES (41), (42)")
    with pg.transaction(force_rollback=True):
        pg.execute("UPDATE orders SET paid = true WHERE id = 41")
    pg.execute("UPDATE orders SET paid = true WHERE id = 42")
    assert pg.execute("SELECT args::text, queue_name FROM task_runs").fetchall() == [("[42]", "mail")]


def test_a_projects_own_trigger_wakes_a_worker_that_fell_idle_before_the_commit(
    dsn: str, pg: psycopg.Connection
) -> None:
    pg.execute("CREATE TABLE orders (id bigint, paid boolean); INSERT INTO orders VALUES (1, false), (2, false)")
    pg.execute(WAKE_AT_COMMIT)
    with psycopg.connect(dsn, autocommit=True) as worker:
        worker.execute("LISTEN reproq_wake")
        assert pg.execute(WAKE).fetchone() == (False,)
        with pg.transaction():
            pg.execute("UPDATE orders SET paid = true")
            worker.execute("INSERT INTO reproq_workers (worker_id, idle_queues) VALUES ('w-1', '{mail}')")
        worker.execute("NOTIFY reproq_wake, 'the end'")
        said = [notify.payload for notify in worker.notifies(timeout=10, stop_after=2)]
    assert said == ["mail", "the end"]


def test_the_calls_of_the_docs_work_as_printed(pg: psycopg.Connection) -> None:
    pg.execute(CALLS)
    assert pg.execute("SELECT args::text, kwargs::text, priority, status FROM task_runs ORDER BY id").fetchall() == [
        ("[42]", "{}", 0, "READY"),
        ("[]", '{"month": 7}', 10, "SCHEDULED"),
    ]
