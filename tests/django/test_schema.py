"""The schema: migrate forward, back, and only where a backend is; plain SQL can produce runs."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from psycopg import errors

from reproq.spec import make_spec
from tests.django import tasks
from tests.django.conftest import OURS, alias_of

OUR_TABLES = {"task_runs", "reproq_workers", "periodic_tasks", "reproq_logs", "reproq_ticks", "reproq_meta"}


def tables(alias):
    with connections[alias].cursor() as cursor:
        return OUR_TABLES & set(connections[alias].introspection.table_names(cursor))


def functions(alias="default"):
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT proname FROM pg_proc WHERE proname LIKE 'reproq%'")
        return {row[0] for row in cursor.fetchall()}


@pytest.fixture
def empty(db, empty_dsn):
    """The alias `empty`: a database in which nothing was migrated."""
    from psycopg import conninfo

    name = conninfo.conninfo_to_dict(empty_dsn)["dbname"]
    with alias_of("empty", dict(connections["default"].settings_dict) | {"NAME": name}) as alias:
        yield alias


@pytest.mark.lesson("migrate-on-an-empty-database")
def test_migrate_on_an_empty_database_is_all_it_takes(empty):
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": {"DATABASE": empty}}}):
        call_command("migrate", database=empty, verbosity=0)
        assert tables(empty) == OUR_TABLES
        result = tasks.add.enqueue(1)
        assert tasks.add.get_result(result.id) == result


@pytest.mark.lesson("migrate-on-an-empty-database")
def test_migrations_go_back_to_nothing_and_forward_again(db):
    call_command("migrate", "reproq_django", "zero", verbosity=0)
    assert (tables("default"), functions()) == (set(), set())
    call_command("migrate", "reproq_django", verbosity=0)
    assert tables("default") == OUR_TABLES
    tasks.add.enqueue(1)


CALL_OF_0003 = """
CALL reproq_insert_run(
    NULL, NULL, NULL, NULL, 1, 'default', 'x.y', '[]', '{}', repeat('0', 64), 'default', 0::smallint,
    NULL, NULL, 3, NULL, NULL, NULL, NULL
)
"""


def test_the_release_before_enqueues_on_while_a_deploy_rolls(db, pg):
    pg.execute(CALL_OF_0003)
    assert pg.execute("SELECT on_lost_contact FROM task_runs").fetchall() == [(None,)]


def test_a_step_back_leaves_what_the_version_before_calls(db, pg):
    tasks.alone.enqueue()
    call_command("migrate", "reproq_django", "0003", verbosity=0)
    pg.execute("SELECT reproq_enqueue('x.y', expires_at => now() + interval '1 hour')")
    pg.execute(CALL_OF_0003)
    add_periodic = "INSERT INTO periodic_tasks (name, cron_expr, task_path) VALUES ('job', '@daily', 'x.y')"
    pg.execute(add_periodic)
    pg.execute("SELECT reproq_enqueue_periodic_task('job', now())")
    assert pg.execute("SELECT count(*) FROM task_runs").fetchone() == (4,)
    call_command("migrate", "reproq_django", verbosity=0)
    tasks.alone.enqueue()
    assert pg.execute("SELECT on_lost_contact FROM task_runs ORDER BY id DESC LIMIT 2").fetchall() == [
        ("stop",),
        (None,),
    ]


STATES = ("0001", "0002", "0003", "0004")
DEFINITIONS = """
    SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname LIKE 'reproq%'
    UNION ALL
    SELECT concat_ws(' ', table_name, column_name, data_type, column_default, is_nullable)
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name IN ('task_runs', 'periodic_tasks')
    UNION ALL
    SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = ANY(ARRAY['task_runs', 'periodic_tasks']::regclass[])
"""


def test_a_state_of_the_schema_is_the_same_from_wherever_it_was_migrated_to(db, pg):
    def state(name):
        call_command("migrate", "reproq_django", name, verbosity=0)
        return sorted(row[0] for row in pg.execute(DEFINITIONS).fetchall())

    backward = [state(name) for name in reversed(STATES)]
    call_command("migrate", "reproq_django", "zero", verbosity=0)
    forward = [state(name) for name in STATES]
    assert forward == backward[::-1]


def test_the_models_and_the_migrations_agree(db):
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.lesson("migrate-on-an-empty-database")
def test_an_alias_that_no_backend_names_is_left_alone(empty):
    call_command("migrate", database=empty, verbosity=0)
    assert tables(empty) == set()


@pytest.mark.lesson("migrate-on-an-empty-database")
@pytest.mark.parametrize("named", [False, True])
def test_another_vendor_is_left_alone(sqlite, named):
    options = {"DATABASE": sqlite} if named else {}
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": options}}):
        call_command("migrate", database=sqlite, verbosity=0)
    assert tables(sqlite) == set()


@pytest.mark.lesson("columns-without-database-defaults")
def test_a_plain_insert_of_a_task_path_is_a_run(pg):
    pg.execute("INSERT INTO task_runs (task_path) VALUES ('x.y')")
    row = pg.execute(
        "SELECT backend, args::text, kwargs::text, queue_name, priority, run_after, status, attempts, max_attempts, "
        "failures, errors::text, spec_hash, due_at = enqueued_at, nonce <> 0 FROM task_runs"
    ).fetchone()
    assert row == (
        *("default", "[]", "{}", "default", 0, None, "READY", 0, 3, 0, "[]"),
        *(make_spec("x.y", [], {}).spec_hash, True, True),
    )


@pytest.mark.lesson("columns-without-database-defaults")
@pytest.mark.parametrize(
    ("table", "required"),
    [
        ("task_runs", {"task_path", "spec_hash"}),
        ("periodic_tasks", {"name", "cron_expr", "task_path"}),
        ("reproq_workers", {"worker_id"}),
        ("reproq_logs", {"run_id", "attempt"}),
        ("reproq_ticks", {"periodic_task_id", "due_at", "outcome"}),
    ],
)
def test_every_column_but_what_only_the_producer_knows_has_a_default(pg, table, required):
    rows = pg.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_nullable = 'NO' "
        "AND column_default IS NULL AND is_identity = 'NO'",
        [table],
    ).fetchall()
    assert {row[0] for row in rows} == required


def test_a_plain_insert_gets_the_hash_that_python_makes(pg):
    pg.execute(
        "INSERT INTO task_runs (task_path, args, kwargs) VALUES ('x.y', '[1, 2.50]', '{\"b\": 1, \"a\": \"é\"}')"
    )
    assert pg.execute("SELECT spec_hash FROM task_runs").fetchone() == (
        make_spec("x.y", [1, 2.5], {"b": 1, "a": "é"}).spec_hash,
    )


@pytest.mark.parametrize(("offset", "status"), [("1 hour", "SCHEDULED"), ("-1 hour", "READY")])
def test_a_plain_insert_is_due_when_it_says(pg, offset, status):
    pg.execute("INSERT INTO task_runs (task_path, run_after) VALUES ('x.y', now() + %s::interval)", [offset])
    assert pg.execute("SELECT status, due_at = run_after FROM task_runs").fetchone() == (status, True)


def test_the_rows_own_enqueued_at_is_the_clock(pg):
    then = datetime(2020, 1, 1, tzinfo=UTC)
    pg.execute(
        "INSERT INTO task_runs (task_path, enqueued_at, run_after) VALUES ('x.y', %s, %s)",
        [then, then + timedelta(hours=1)],
    )
    assert pg.execute("SELECT status FROM task_runs").fetchone() == ("SCHEDULED",)


def test_a_plain_insert_of_bad_arguments_is_refused(pg):
    for args in ("{}", "[1e999]", '["\\u0000"]'):
        with pytest.raises(errors.DataError):
            pg.execute("INSERT INTO task_runs (task_path, args) VALUES ('x.y', %s::json)", [args])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("run_after", value) for value in ("infinity", "-infinity", "0044-03-15 BC", "20000-01-01")),
        *(("enqueued_at", value) for value in ("infinity", "-infinity")),
        *(("timeout_seconds", value) for value in ("NaN", "Infinity", "0", "-1", "2592001")),
        *(("expires_at", value) for value in ("2001-01-01", "-infinity", "infinity", "20000-01-01")),
    ],
)
def test_a_plain_insert_of_a_value_that_no_worker_could_read_is_refused(pg, column, value):
    with pytest.raises(errors.CheckViolation):
        pg.execute(f"INSERT INTO task_runs (task_path, {column}) VALUES ('x.y', '{value}')")


def test_a_plain_insert_works_from_any_search_path(pg):
    schema = pg.execute("SELECT current_schema()").fetchone()[0]
    pg.execute("SET search_path = pg_catalog")
    pg.execute(f"INSERT INTO {schema}.task_runs (task_path) VALUES ('x.y')")


def test_a_row_that_brings_its_hash_does_not_fire_the_trigger(pg):
    pg.execute("INSERT INTO task_runs (task_path, spec_hash) VALUES ('x.y', repeat('0', 64))")
    assert pg.execute("SELECT spec_hash FROM task_runs").fetchone() == ("0" * 64,)


def test_rows_from_plain_sql_can_be_read_as_results(db, pg):
    run_id, nonce = pg.execute(
        "INSERT INTO task_runs (task_path, args) VALUES ('tests.django.tasks.add', '[1]') RETURNING id, nonce"
    ).fetchone()
    assert tasks.add.get_result(f"{run_id}-{nonce % 2**64:016x}").args == [1]
