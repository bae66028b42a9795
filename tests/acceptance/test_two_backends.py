"""Commands with `--backend`, in a project whose two backends are on two databases."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import conninfo

from tests.acceptance.workers import reproq, statuses
from tests.plugins.databases import TestServer

TWO = {"DJANGO_SETTINGS_MODULE": "tests.acceptance.project.two_databases"}
ADD = "tests.acceptance.project.tasks.add"


@pytest.fixture
def reports_dsn(server: TestServer) -> Iterator[str]:
    """A second installation."""
    address = server.create(server.template)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("UPDATE reproq_meta SET installation = gen_random_uuid()")
    yield address
    server.leave(address)


def test_a_burst_of_one_backend_leaves_the_other_database_alone(
    dsn: str, pg: psycopg.Connection, reports_dsn: str
) -> None:
    two = TWO | {"REPORTS_DSN": reports_dsn}
    reproq(dsn, "enqueue", ADD, "--args", "[1, 2]", **two)
    reproq(dsn, "enqueue", ADD, "--args", "[3, 4]", "--backend", "reports", **two)
    with psycopg.connect(reports_dsn, autocommit=True) as reports:
        assert (statuses(pg), statuses(reports)) == ({"READY": 1}, {"READY": 1})
        reproq(dsn, "worker", "--burst", "--backend", "reports", **two)
        assert (statuses(pg), statuses(reports)) == ({"READY": 1}, {"SUCCESSFUL": 1})
        (number,) = reports.execute("SELECT id FROM task_runs WHERE backend = 'reports'").fetchone()
        reproq(dsn, "replay", str(number), "--backend", "reports", **two)
        assert (statuses(pg), statuses(reports)) == ({"READY": 1}, {"READY": 1, "SUCCESSFUL": 1})
    listed = reproq(dsn, "runs", "list", "--json", REPROQ_BACKEND="reports", **two).stdout.splitlines()
    assert len(listed) == 2


def test_an_alias_that_is_not_ours_is_refused_by_every_command(dsn: str, reports_dsn: str) -> None:
    two = TWO | {"REPORTS_DSN": reports_dsn}
    ours = "(those of Reproq: 'default', 'reports')"
    for arguments, says in (
        (("status", "--backend", "mail"), f"has another kind of backend as 'mail' {ours}"),
        (("worker", "--backend", "nothing"), f"has no backend 'nothing' {ours}"),
        (("enqueue", ADD, "--backend", "nothing"), "none of the aliases of TASKS ('default', 'reports', 'mail')"),
    ):
        refused = reproq(dsn, *arguments, check=False, **two)
        assert refused.returncode == 2
        assert says in refused.stderr


def test_an_address_of_the_environment_that_leads_to_another_database_is_refused_and_reproq_dsn_wins(
    dsn: str, reports_dsn: str, empty_dsn: str
) -> None:
    two = TWO | {"REPORTS_DSN": reports_dsn}
    for address, state in ((dsn, "installation"), (empty_dsn, "not migrated")):
        refused = reproq(dsn, "status", "--backend", "reports", check=False, DATABASE_URL=address, **two)
        assert refused.returncode == 2
        assert f"dbname={conninfo.conninfo_to_dict(address)['dbname']}" in refused.stderr
        assert state in refused.stderr
        assert "set REPROQ_DSN" in refused.stderr
    reproq(dsn, "status", "--backend", "reports", DATABASE_URL=dsn, REPROQ_DSN=reports_dsn, **two)
