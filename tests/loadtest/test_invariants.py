"""Each invariant, broken by plain SQL: exactly that one is found, and its row is named."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime

import psycopg
import pytest
from psycopg import conninfo, sql

from reproq.loadtest.verify import Bounds, Invariant, Scope, invariants
from tests.house.floors import sql_file_breaches
from tests.loadtest.conftest import found, offences
from tests.plugins.databases import TestServer

RUNNING = {
    "status": "'RUNNING'",
    "attempts": "1",
    "worker_ids": "'{w-1}'",
    "worker_id": "'w-1'",
    "claim_token": "7",
    "claimed_at": "now()",
    "lease_expires_at": "now() + interval '30 s'",
}
ENDED = {
    "attempts": "1",
    "worker_ids": "'{w-1}'",
    "started_at": "now()",
    "last_attempted_at": "now()",
    "finished_at": "now()",
}
SUCCESSFUL = ENDED | {"status": "'SUCCESSFUL'", "return_value": "'1'"}
FAILED = ENDED | {"status": "'FAILED'"}
NEVER_STARTED = {"started_at": "NULL", "last_attempted_at": "NULL"}
LONG_AGO = {"due_at": "now() - interval '10 min'", "enqueued_at": "now() - interval '10 min'"}
LOST = RUNNING | LONG_AGO | {"claimed_at": "now() - interval '9 min'", "lease_expires_at": "now() - interval '8 min'"}
LIVE = """
    INSERT INTO reproq_workers (worker_id, queues, concurrency, started_at, last_seen_at)
    VALUES ('{}', '{{{}}}', 2, now() - interval '1 hour', now())
"""
ANOTHER_RUN = "INSERT INTO task_runs (id, task_path) OVERRIDING SYSTEM VALUE VALUES (0, 'another.task')"
LOG = "INSERT INTO reproq_logs (run_id, attempt, bytes_total) SELECT id, {}, {} FROM task_runs"


def error(kind: str, attempt: object = 1) -> dict[str, str]:
    """The column `errors` with one error."""
    entry = {"kind": kind, "exception_class": "a.B", "message": "m", "traceback": "", "attempt": attempt}
    return {"errors": f"'{json.dumps([entry])}'"}


def updated(changes: dict[str, str]) -> str:
    """Change the one run that was enqueued by these expressions."""
    assignments = ", ".join(f"{name} = {expression}" for name, expression in changes.items())
    return f"UPDATE task_runs SET {assignments} WHERE task_path = 'x.y' RETURNING id"


HELD_BY_ANOTHER = updated(RUNNING | {"worker_id": "'w-2'", "worker_ids": "'{w-2}'"}).replace("x.y", "another.task")


@dataclass(frozen=True, slots=True)
class Breach:
    """How one run is broken: the CHECKs and the trigger that are lifted meanwhile, and what else is there."""

    name: str
    changes: dict[str, str]
    lifted: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    trigger: str | None = None

    def __str__(self) -> str:
        return self.name


OF_A_STATUS = ("status_known", "claim_only_while_running", "finished_has_its_time")
BREACHES = [
    Breach("status_known", {"status": "'LOST'"}, OF_A_STATUS),
    Breach("claim_only_while_running", RUNNING | {"claim_token": "NULL"}, ("claim_only_while_running",)),
    Breach("claim_only_while_running", {"lease_expires_at": "now()"}, ("claim_only_while_running",)),
    Breach("finished_has_its_time", SUCCESSFUL | {"finished_at": "NULL"}, ("finished_has_its_time",)),
    Breach("finished_has_its_time", {"finished_at": "now()"}, ("finished_has_its_time",)),
    Breach("value_only_on_success", {"return_value": "'1'"}, ("value_only_on_success",)),
    Breach("value_only_on_success", SUCCESSFUL | {"return_value": "NULL"}, ("value_only_on_success",)),
    Breach("attempts_are_worker_ids", SUCCESSFUL | {"attempts": "2"}, ("attempts_are_worker_ids",)),
    Breach("holder_made_the_last_attempt", RUNNING | {"worker_ids": "'{w-2}'"}),
    Breach("failures_within_attempts", SUCCESSFUL | {"failures": "2"}, ("counters_bounded",)),
    Breach("failures_within_attempts", {"releases": "-1"}, ("counters_bounded",)),
    Breach("failures_within_max_attempts", RUNNING | {"failures": "1", "max_attempts": "1"}),
    Breach("failures_within_max_attempts", {"max_attempts": "0"}, ("counters_bounded",)),
    Breach("failed_for_a_reason", FAILED),
    Breach("failed_for_a_reason", FAILED | error("timeout") | {"failures": "1", "max_attempts": "2"}),
    Breach("cancelled_says_so", ENDED | error("timeout") | {"status": "'CANCELLED'"}),
    Breach("cancel_is_kept", {"cancel_requested_at": "now()"}),
    Breach("errors_well_formed", {"errors": "'{}'"}),
    Breach("errors_well_formed", {"errors": "'[null]'"}),
    Breach("errors_well_formed", SUCCESSFUL | error("bad_luck")),
    Breach("errors_well_formed", SUCCESSFUL | error("timeout", attempt=2)),
    Breach("errors_well_formed", SUCCESSFUL | error("timeout", attempt=True)),
    Breach("times_in_order", SUCCESSFUL | {"enqueued_at": "now() + interval '6 s'", "due_at": "now()"}),
    Breach("times_in_order", SUCCESSFUL | {"started_at": "now() + interval '6 s'"}),
    Breach("times_in_order", SUCCESSFUL | {"last_attempted_at": "now() + interval '6 s'"}),
    Breach("times_in_order", RUNNING | {"lease_expires_at": "now() - interval '6 s'"}),
    Breach("started_when_attempted", SUCCESSFUL | {"started_at": "NULL"}),
    Breach("started_when_attempted", SUCCESSFUL | NEVER_STARTED),
    Breach("started_when_attempted", {"started_at": "now()", "last_attempted_at": "now()"}),
    Breach("not_before_run_after", {"run_after": "now() + interval '1 h'"}),
    Breach("not_before_run_after", SUCCESSFUL | dict.fromkeys(("run_after", "due_at"), "now() + interval '1 h'")),
    Breach("values_within_bounds", {"priority": "101"}, ("priority_bounded",)),
    Breach("values_within_bounds", {"timeout_seconds": "'NaN'"}, ("timeout_bounded",)),
    Breach("values_within_bounds", {"due_at": "'infinity'"}, ("times_readable",)),
    Breach("hash_is_of_the_spec", {"args": "'[2]'"}, trigger="reproq_spec_immutable"),
    Breach("hash_is_of_the_spec", {"args": f"'[{'1' * 4301}]'"}, trigger="reproq_spec_immutable"),
    Breach("replays_an_earlier_run", {"replay_of": "id"}),
    Breach("replays_an_earlier_run", {"replay_of": "0"}, also=(ANOTHER_RUN,)),
    Breach("logs_are_of_attempts", SUCCESSFUL, also=(LOG.format(2, 0),)),
    Breach("logs_are_of_attempts", RUNNING, also=(LOG.format(1, -1),)),
    Breach("live_workers_renew_their_claims", LOST, also=(LIVE.format("w-1", "default"),)),
    Breach("lost_runs_are_rescued", LOST, also=(LIVE.format("w-2", "mail"),)),
    Breach("tokens_name_one_worker", RUNNING, also=(ANOTHER_RUN, HELD_BY_ANOTHER)),
    Breach("due_runs_are_promoted", LONG_AGO | {"status": "'SCHEDULED'"}, also=(LIVE.format("w-1", "mail"),)),
    Breach("ready_runs_are_claimed", LONG_AGO, also=(LIVE.format("w-1", "mail,default"),)),
    Breach("ready_runs_are_claimed", LONG_AGO, also=(LIVE.format("w-1", "*"),)),
]


@contextmanager
def lifted(pg: psycopg.Connection, names: tuple[str, ...], trigger: str | None) -> Iterator[None]:
    """Without these CHECKs and this trigger; afterwards they stand again, though not checked against what is there."""
    checks = [f"task_runs_{name}" for name in names]
    definitions = {
        name: pg.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [name]).fetchone()[0]
        for name in checks
    }
    for name in checks:
        pg.execute(f"ALTER TABLE task_runs DROP CONSTRAINT {name}")
    if trigger:
        pg.execute(f"ALTER TABLE task_runs DISABLE TRIGGER {trigger}")
    yield
    for name, definition in definitions.items():
        pg.execute(f"ALTER TABLE task_runs ADD CONSTRAINT {name} {definition} NOT VALID")
    if trigger:
        pg.execute(f"ALTER TABLE task_runs ENABLE TRIGGER {trigger}")


@pytest.fixture
def breakable(module_dsn: str, _module_connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A connection to this module's database, which is mended after the test."""
    yield _module_connection
    _module_connection.execute("TRUNCATE task_runs, reproq_workers, reproq_logs")
    unchecked = "SELECT conname FROM pg_constraint WHERE conrelid = 'task_runs'::regclass AND NOT convalidated"
    for (name,) in _module_connection.execute(unchecked).fetchall():
        _module_connection.execute(f"ALTER TABLE task_runs VALIDATE CONSTRAINT {name}")


@pytest.mark.parametrize("breach", BREACHES, ids=str)
def test_a_broken_run_is_found_and_nothing_else(breach: Breach, module_dsn: str, breakable: psycopg.Connection) -> None:
    def clock() -> datetime:
        return breakable.execute("SELECT now()").fetchone()[0]

    breakable.execute("INSERT INTO task_runs (task_path) VALUES ('x.y')")
    assert offences(found(module_dsn, clock=clock)) == {}
    for statement in breach.also:
        breakable.execute(statement)
    with lifted(breakable, breach.lifted, breach.trigger):
        (run_id,) = breakable.execute(updated(breach.changes)).fetchone()
    caught = offences(found(module_dsn, clock=clock))
    unchecked = caught.pop("constraints_stand", [])
    assert [offence.subject for offence in unchecked] == sorted(f"task_runs_{name}" for name in breach.lifted)
    assert list(caught) == [breach.name]
    assert [offence.subject for offence in caught[breach.name]] == [0 if HELD_BY_ANOTHER in breach.also else run_id]


HELD_UP = "no_transaction_holds_up_a_run"


@pytest.mark.parametrize(
    ("worker", "savepoint"),
    [("w-1", nullcontext), ("w-2", psycopg.Connection.transaction)],
    ids=["its worker lives", "its worker is lost, and the savepoint released that locked it"],
)
def test_a_run_that_a_transaction_holds_up_accuses_that_and_no_worker(
    worker: str, savepoint: Callable[..., AbstractContextManager[object]], dsn: str, pg: psycopg.Connection
) -> None:
    pg.execute("INSERT INTO task_runs (task_path) VALUES ('x.y')")
    pg.execute(LIVE.format(worker, "mail"))
    (run_id,) = pg.execute(updated(LOST)).fetchone()
    with psycopg.connect(dsn, application_name="somebody") as other:
        with other.transaction():
            with savepoint(other):
                other.execute("UPDATE task_runs SET priority = 1")
            caught = offences(found(dsn))
        ((offence,),) = caught.values()
        assert (list(caught), offence.subject) == ([HELD_UP], run_id)
        assert f"and the transaction of pid {other.info.backend_pid} (somebody), open since " in offence.what


@pytest.mark.parametrize(
    ("name", "damage", "subject"),
    [
        ("crash_safe_settings", "ALTER DATABASE {} SET synchronous_commit = off", "synchronous_commit"),
        ("tables_are_logged", "ALTER TABLE reproq_logs SET UNLOGGED", "reproq_logs"),
        ("ids_have_room", "SELECT setval('task_runs_id_seq', 8900000000000000000)", "task_runs_id_seq"),
        ("ids_are_new", "INSERT INTO task_runs (id, task_path) VALUES (9, 'x.y')", 9),
        (
            "constraints_stand",
            "ALTER TABLE reproq_logs DROP CONSTRAINT reproq_logs_one_an_attempt",
            "reproq_logs_one_an_attempt",
        ),
        ("indexes_stand", "DROP INDEX task_runs_held", "task_runs_held"),
        (
            "indexes_stand",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'task_runs_due'::regclass",
            "task_runs_due",
        ),
        ("triggers_stand", "DROP TRIGGER reproq_spec_immutable ON task_runs", "reproq_spec_immutable"),
        ("triggers_stand", "ALTER TABLE task_runs DISABLE TRIGGER reproq_fill", "reproq_fill"),
        ("triggers_stand", "ALTER TABLE reproq_ticks DISABLE TRIGGER reproq_wake_workers", "reproq_wake_workers"),
    ],
)
def test_a_damaged_database_is_found_and_nothing_else(
    name: str, damage: str, subject: object, dsn: str, pg: psycopg.Connection
) -> None:
    assert offences(found(dsn)) == {}
    pg.execute(sql.SQL(damage).format(sql.Identifier(str(conninfo.conninfo_to_dict(dsn)["dbname"]))))
    skipped = frozenset({"crash_safe_settings"} - {name})
    caught = offences(found(dsn, skipped=skipped))
    assert list(caught) == [name]
    assert subject in [offence.subject for offence in caught[name]]


def test_a_server_that_may_lose_commits_is_found(dsn: str, pg: psycopg.Connection) -> None:
    off = {name for name in ("fsync", "full_page_writes") if pg.execute(f"SHOW {name}").fetchone() == ("off",)}
    caught = offences(found(dsn, skipped=frozenset()))
    assert {offence.subject for offence in caught.get("crash_safe_settings", [])} == off


def test_old_transaction_ids_are_found(dsn: str) -> None:
    caught = offences(found(dsn, bounds=Bounds(max_xid_age=1)))
    assert list(caught) == ["transaction_ids_have_room"]


def test_a_database_of_another_encoding_is_found(server: TestServer) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE reproq_test_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    dsn = conninfo.make_conninfo(server.dsn, dbname="reproq_test_latin")
    try:
        with psycopg.connect(dsn) as connection:
            rows = connection.execute(named("database_is_utf8").statement).fetchall()
    finally:
        server.leave(dsn)
    assert rows == [("reproq_test_latin", "the encoding is LATIN1")]


def named(name: str) -> Invariant:
    return next(one for one in invariants() if one.name == name)


def test_every_invariant_has_a_test_that_breaks_it() -> None:
    elsewhere = {"due_ticks_are_fired", HELD_UP}  # the former in test_schedule_invariants.py
    broken = {breach.name for breach in BREACHES} | elsewhere
    runs = {one.name for one in invariants() if one.scope is not Scope.SERVER}
    assert broken == runs


def test_every_invariant_is_one_statement_under_one_claim() -> None:
    for one in invariants():
        assert sql_file_breaches(f"-- {one.claim}\n{one.statement}", one.name) == []


def test_every_constraint_index_and_trigger_is_expected(pg: psycopg.Connection) -> None:
    queries = {
        "constraints_stand": "SELECT conname FROM pg_constraint WHERE contype = ANY('{c,p,u}') AND conrelid = ANY(%s)",
        "indexes_stand": """
            SELECT indexrelid::regclass::text FROM pg_index
            WHERE indrelid = ANY(%s) AND indexrelid NOT IN (SELECT conindid FROM pg_constraint)
            AND indexrelid::regclass::text NOT LIKE '%%_like'
        """,
        "triggers_stand": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = ANY(%s)",
    }
    tables = ["task_runs", "reproq_workers", "reproq_logs", "periodic_tasks", "reproq_ticks"]
    (oids,) = pg.execute("SELECT array_agg(name::regclass::oid) FROM unnest(%s::text[]) AS name", [tables]).fetchone()
    for name, query in queries.items():
        there = {row[0] for row in pg.execute(query, [oids])}
        assert {one for one in there if f"'{one}'" not in named(name).statement} == set(), name
