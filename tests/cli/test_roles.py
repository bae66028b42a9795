"""`reproq sql grants`: what it prints lets each role do its part and nothing else; who lacks a right is told which."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import conninfo, errors, sql

from reproq.lifecycle import Status
from reproq.retention import Rule
from reproq.store.db import Database
from reproq.store.periodic import PruneTicks, RefillLists
from reproq.store.results import get_run
from reproq.store.retention import START, PruneRuns
from tests.acceptance.workers import TASKS, statuses, worker
from tests.acceptance.workers import reproq as as_process
from tests.cli.conftest import Result
from tests.store.rows import ended_ago

Call = Callable[..., Result]
PARTS = ("producer", "worker", "operator")


@pytest.fixture
def roles(pg: psycopg.Connection, dsn: str, reproq: Call) -> Iterator[dict[str, str]]:
    """An address for each part, as a role that has what the command prints, run twice, and nothing else."""
    names = {part: f"{part}_{conninfo.conninfo_to_dict(dsn)['dbname']}" for part in PARTS}
    for name in names.values():
        pg.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    pg.execute("REVOKE ALL ON SCHEMA public FROM public")
    pg.execute("REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA public FROM public")
    printed = reproq("sql", "grants", *(word for part, name in names.items() for word in (f"--{part}", name))).stdout
    for _ in range(2):
        pg.execute(printed)
    yield {part: conninfo.make_conninfo(dsn, user=name) for part, name in names.items()}
    for name in names.values():
        pg.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        pg.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def as_operator(reproq: Call, roles: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("REPROQ_DSN", roles["operator"])
    return reproq


def test_a_run_is_enqueued_executed_and_looked_after_each_by_its_role(
    pg: psycopg.Connection, roles: dict[str, str], log: Path, as_operator: Call
) -> None:
    as_process(roles["producer"], "enqueue", f"{TASKS}.add", "--args", "[1, 2]")
    with psycopg.connect(roles["producer"]) as producer:
        ((run_id,),) = producer.execute("SELECT reproq_enqueue(%s, '[3, 4]')", [f"{TASKS}.add"]).fetchall()
    with worker(roles["producer"], log, "--burst", REPROQ_DSN=roles["worker"]) as process:  # tasks connect as producer
        assert process.wait(60) == 0, log.read_text()
    assert statuses(pg) == {"SUCCESSFUL": 2}
    with psycopg.connect(roles["producer"]) as producer, producer.cursor() as cursor:
        nonce = producer.execute("SELECT nonce FROM task_runs WHERE id = %s", [run_id]).fetchone()
        assert nonce is not None
        result = get_run(cursor, run_id, nonce[0], "default")
        assert result is not None
        assert result.status == Status.SUCCESSFUL
    replay = json.loads(as_operator("replay", str(run_id), "--json").stdout)["id"]
    assert as_operator("cancel", str(replay)).returncode == 0
    assert as_operator("runs", "list", "--json").returncode == 0
    assert as_operator("runs", "logs", str(run_id)).returncode == 0
    assert as_operator("status").returncode == 0
    proved = as_operator("verify", "--all", "--skip", "crash_safe_settings")
    assert proved.returncode == 0, proved.stdout + proved.stderr
    ended_ago(pg, 100)
    assert as_operator("prune").stdout == "1 runs deleted\n"
    assert statuses(pg) == {"SUCCESSFUL": 2, "CANCELLED": 1}


def test_a_worker_prunes_under_its_role(pg: psycopg.Connection, roles: dict[str, str]) -> None:
    ended_ago(pg, 100, runs=3)
    database = Database(roles["worker"], "worker")
    answer = PruneRuns("default", Rule(1.0, (Status.SUCCESSFUL,)), START).run(database, None)
    database.close()
    assert (answer.deleted, answer.refusal) == (3, "")


def test_a_worker_lives_on_that_may_not_compute_or_forget_ticks_and_says_why(roles: dict[str, str]) -> None:
    database = Database(roles["producer"], "worker")
    assert "permission denied for table periodic_tasks" in RefillLists().run(database, None).trouble
    assert PruneTicks().run(database, None) == 0
    database.close()


FORBIDDEN = [
    ("producer", "UPDATE task_runs SET priority = 1"),
    ("producer", "DELETE FROM task_runs"),
    ("producer", "SELECT FROM reproq_logs"),
    ("worker", "DELETE FROM periodic_tasks"),
    ("worker", "UPDATE reproq_meta SET schema_version = 9"),
    ("operator", "UPDATE reproq_workers SET draining = true"),
    ("operator", "UPDATE reproq_meta SET schema_version = 9"),
    ("operator", "CREATE TABLE public.mine ()"),
]


def test_no_role_can_do_what_is_anothers(roles: dict[str, str]) -> None:
    for part, statement in FORBIDDEN:
        with psycopg.connect(roles[part]) as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize(("right", "table"), [("UPDATE", "task_runs"), ("SELECT", "reproq_meta")])
def test_a_worker_that_lacks_a_right_ends_and_names_role_table_and_remedy(
    pg: psycopg.Connection, roles: dict[str, str], log: Path, right: LiteralString, table: str
) -> None:
    name = conninfo.conninfo_to_dict(roles["worker"])["user"]
    pg.execute(sql.SQL("REVOKE " + right + " ON {} FROM {}").format(sql.Identifier(table), sql.Identifier(str(name))))
    with worker(roles["producer"], log, "--burst", REPROQ_DSN=roles["worker"]) as process:
        assert process.wait(60) == 2, "a unit of systemd that restarts it for ever would mend nothing"
    told = log.read_text()
    assert f"the role '{name}' of the database" in told
    assert f"permission denied for table {table}; let the owner of the tables run what this prints: " in told
    assert f"reproq sql grants --worker {name}" in told
    assert "Traceback" not in told


def test_grants_by_a_role_that_may_not_grant_are_refused_with_the_remedy(roles: dict[str, str], reproq: Call) -> None:
    name = conninfo.conninfo_to_dict(roles["producer"])["user"]
    printed = reproq("sql", "grants", "--operator", str(name)).stdout
    with psycopg.connect(roles["operator"], autocommit=True) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute(printed)
    assert isinstance(refused.value, errors.InsufficientPrivilege)
    operator = conninfo.conninfo_to_dict(roles["operator"])["user"]
    said = f'the role {operator} may not grant rights on "public"."task_runs"'
    assert refused.value.diag.message_primary == said
    assert refused.value.diag.message_hint == "Run this as the owner of the tables, or as a superuser."


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name at least one role: --producer ROLE, --worker ROLE or --operator ROLE"),
        (
            ("--worker", ""),
            "--worker = '' can be no role or schema here; give a name of 1 to 63 bytes other than PUBLIC",
        ),
        (("--worker", "Public"), "--worker = 'Public' can be no role"),
        (("--operator", "ö" * 32), "can be no role or schema here"),
        (("--worker", "w", "--schema", ""), "--schema = '' can be no role or schema here"),
    ],
)
def test_a_name_that_can_be_none_is_refused(arguments: tuple[str, ...], says: str, reproq: Call) -> None:
    refused = reproq("sql", "grants", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert says in " ".join(refused.stderr.split())


def test_a_strange_name_is_quoted_and_cannot_end_the_statement(reproq: Call, pg: psycopg.Connection) -> None:
    name = "it's \"; DROP TABLE task_runs; --"
    pg.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
    try:
        pg.execute(reproq("sql", "grants", "--producer", name).stdout)
        assert pg.execute("SELECT has_table_privilege(%s, 'task_runs', 'INSERT')", [name]).fetchone() == (True,)
    finally:
        pg.execute(sql.SQL("DROP OWNED BY {0}").format(sql.Identifier(name)))
        pg.execute(sql.SQL("DROP ROLE {0}").format(sql.Identifier(name)))
