"""`reproq doctor` has its list also where it may not ask for everything, or has nothing to ask."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql

from tests.acceptance.workers import reproq
from tests.django.test_installed import SETTINGS, run_in

SEEN = {"versions", "settings", "lease", "database", "PostgreSQL", "encoding", "primary", "durable", "clock"}


@pytest.fixture
def stranger(dsn: str, pg: psycopg.Connection) -> Iterator[str]:
    """The test's database as a role without any right there."""
    name = f"stranger_{pg.info.dbname}"
    pg.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    yield conninfo.make_conninfo(dsn, user=name)
    pg.execute(sql.SQL("DROP OWNED BY {0}").format(sql.Identifier(name)))
    pg.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def red(text: str) -> list[dict[str, Any]]:
    """What is wrong, but for what the tests' server does for speed; all the rest is there."""
    found = json.loads(text)
    assert {one["name"] for one in found} >= SEEN
    return [one for one in found if not one["ok"] and one["name"] != "durable"]


@pytest.mark.direct
@pytest.mark.parametrize("where", ["DATABASES", "REPROQ_DSN"])
def test_a_right_that_is_missing_is_one_finding_with_its_remedy(dsn: str, stranger: str, where: str) -> None:
    said = (
        reproq(stranger, "doctor", "--json", check=False)
        if where == "DATABASES"
        else reproq(dsn, "doctor", "--json", check=False, REPROQ_DSN=stranger)
    )
    assert (said.returncode, said.stderr) == (3, "")
    (found,) = red(said.stdout)
    assert found["name"] == "rights"
    assert "lacks a right: permission denied for table reproq_meta" in found["detail"]
    assert found["remedy"].startswith("let the owner of the tables run what this prints: reproq sql grants")


@pytest.mark.direct
def test_a_project_whose_role_only_enqueues_is_in_order_and_what_that_may_not_see_is_said_to_be_unknown(
    dsn: str, stranger: str, pg: psycopg.Connection
) -> None:
    name = str(conninfo.conninfo_to_dict(stranger)["user"])
    pg.execute(reproq(dsn, "sql", "grants", "--producer", name).stdout)
    said = reproq(stranger, "doctor", "--json", check=False, REPROQ_DSN=dsn)
    assert red(said.stdout) == [], said.stderr
    unknown = [one["detail"] for one in json.loads(said.stdout) if "unknown" in one["detail"]]
    assert unknown == [
        "whether each could run is unknown: the role of DATABASES lacks a right: permission denied for table "
        "periodic_tasks"
    ]


@pytest.mark.direct
def test_an_address_that_the_server_refuses_is_a_finding_too(dsn: str) -> None:
    said = reproq(conninfo.make_conninfo(dsn, dbname="nobody_made_it"), "doctor", check=False)
    assert said.returncode == 3
    assert 'database "nobody_made_it" does not exist (the address comes from DATABASES' in said.stdout
    assert "-> correct the address or the server" in said.stdout


def test_a_project_on_sqlite_is_told_to_name_another_alias(tmp_path: Path) -> None:
    database = '{"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "x"}}'
    lines = [f"DATABASES = {database}" if line.startswith("DATABASES") else line for line in SETTINGS.splitlines()]
    (tmp_path / "bare_settings.py").write_text("\n".join(lines))
    said = run_in(tmp_path, "reproq", "doctor")
    assert (said.returncode, said.stderr) == (3, "")
    assert said.stdout.startswith("✓ versions")
    assert "✗ database     DATABASES['default'] is sqlite\n" in said.stdout
    assert "-> Reproq needs PostgreSQL, name another alias in TASKS" in said.stdout
