"""`reproq verify` as people and machines call it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import conninfo, sql

from reproq.loadtest.verify import invariants
from tests.acceptance.workers import ROOT, environment, reproq
from tests.plugins.databases import TestServer

SKIP = ("--skip", "crash_safe_settings")


def test_a_healthy_database_passes(dsn: str, enqueued: Callable[..., int]) -> None:
    enqueued()
    result = reproq(dsn, "verify", *SKIP)
    assert result.stdout.count("PASS") == len(invariants())  # one is skipped, and the last line says so of all
    assert f"1 runs looked at: PASS, all {len(invariants()) - 1} invariants hold" in result.stdout


def test_a_violation_is_shown_with_its_rows_and_ends_with_three(
    dsn: str, pg: psycopg.Connection, enqueued: Callable[..., int]
) -> None:
    ids = [enqueued(number) for number in range(12)]
    pg.execute("UPDATE task_runs SET cancel_requested_at = now()")
    result = reproq(dsn, "verify", *SKIP, check=False)
    assert result.returncode == 3
    assert f"run {ids[-1]}: the run is READY, though a cancel was asked for at" in result.stdout
    assert "… and 2 more" in result.stdout
    assert "FAIL, 1 of" in result.stdout


def test_a_machine_gets_every_invariant_and_every_row(
    dsn: str, pg: psycopg.Connection, enqueued: Callable[..., int]
) -> None:
    run_id = enqueued()
    pg.execute("UPDATE task_runs SET cancel_requested_at = now()")
    result = reproq(dsn, "verify", "--all", "--json", *SKIP, check=False)
    facts = json.loads(result.stdout)
    assert (result.returncode, facts["ok"], facts["runs"]) == (3, False, 1)
    by_name = {one["name"]: one for one in facts["invariants"]}
    assert by_name.pop("cancel_is_kept")["offences"][0]["id"] == run_id
    assert {one["outcome"] for one in by_name.values()} == {"PASS"}


def test_a_lease_shorter_than_the_default_can_be_said(dsn: str) -> None:
    assert "PASS, all" in reproq(dsn, "verify", "--lease", "3s", "--heartbeat", "1s", *SKIP).stdout


def test_manage_py_has_the_command_too(dsn: str) -> None:
    command = [sys.executable, "-m", "django", "reproq", "verify", *SKIP]
    result = subprocess.run(command, env=environment(dsn), cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "PASS, all" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--since", "soon"), "--since = 'soon' is not a duration"),
        (("--since", "0s"), "is outside 0 to 36500d"),
        (("--since", "99999999d"), "is more than 36,500 days"),
        (("--skip", "luck"), "--skip = 'luck' is no invariant; there are: constraints_stand"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments: tuple[str, ...], says: str, dsn: str) -> None:
    result = reproq(dsn, "verify", *arguments, check=False)
    assert result.returncode == 2
    assert says in result.stderr


def test_a_database_that_is_not_migrated_names_the_command(empty_dsn: str) -> None:
    result = reproq(empty_dsn, "verify", check=False)
    assert result.returncode == 1
    assert "run: python manage.py migrate" in result.stderr


@pytest.fixture
def reader(dsn: str, pg: psycopg.Connection, server: TestServer) -> Iterator[str]:
    """The name of a role that may log in, and nothing else."""
    name = f"reader_{conninfo.conninfo_to_dict(dsn)['dbname']}"
    pg.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    yield name
    pg.execute(sql.SQL("DROP OWNED BY {0}").format(sql.Identifier(name)))
    pg.execute(sql.SQL("DROP ROLE {0}").format(sql.Identifier(name)))


def test_a_role_needs_the_right_to_read_and_is_told_what_is_missing(
    dsn: str, pg: psycopg.Connection, reader: str, enqueued: Callable[..., int]
) -> None:
    enqueued()
    as_reader = conninfo.make_conninfo(dsn, user=reader)
    refused = reproq(as_reader, "verify", *SKIP, check=False)
    assert refused.returncode == 2
    for table in ("task_runs", "reproq_workers", "reproq_logs", "periodic_tasks", "reproq_ticks", "reproq_meta"):
        grant = f"GRANT SELECT ON {table} TO {reader};"
        assert grant in refused.stderr
        pg.execute(grant)
    assert "PASS, all" in reproq(as_reader, "verify", "--all", *SKIP).stdout


def test_a_role_without_the_schema_or_the_hash_is_told(dsn: str, pg: psycopg.Connection, reader: str) -> None:
    as_reader = conninfo.make_conninfo(dsn, user=reader)
    pg.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")
    pg.execute("REVOKE USAGE ON SCHEMA public FROM public")
    result = reproq(as_reader, "verify", check=False)
    assert (result.returncode, f"GRANT USAGE ON SCHEMA public TO {reader};" in result.stderr) == (2, True)
    pg.execute(f"GRANT USAGE ON SCHEMA public TO {reader}")
    pg.execute("REVOKE EXECUTE ON FUNCTION reproq_spec_hash FROM public")
    result = reproq(as_reader, "verify", check=False)
    assert f"GRANT EXECUTE ON FUNCTION reproq_spec_hash(text,json,json) TO {reader};" in result.stderr
