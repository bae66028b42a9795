"""A project that names its database by the environment works, and its tasks do not see what named it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from tests.acceptance.workers import statuses, worker

SETTINGS = "tests.acceptance.project.by_environment"
NAMES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}


@pytest.mark.parametrize("executor", ["fork", "pool", "spawn"])
@pytest.mark.parametrize("named_by", ["DATABASE_URL", "PG*"])
def test_a_task_reaches_the_database_and_finds_no_address_in_its_environment(
    executor: str, named_by: str, dsn: str, pg: psycopg.Connection, log: Path, enqueue: Callable[..., Any]
) -> None:
    parts = conninfo.conninfo_to_dict(dsn)
    if named_by == "DATABASE_URL":
        given = {"DATABASE_URL": dsn}
    else:
        given = {"SHOP_DATABASE": str(parts["dbname"])}
        given |= {variable: str(parts[name]) for name, variable in NAMES.items() if parts.get(name)}
    reaches, sees = enqueue("backend_pid"), enqueue("variables", [*given, "DJANGO_SETTINGS_MODULE"])
    more = given | {"DJANGO_SETTINGS_MODULE": SETTINGS, "REPROQ_TEST_DSN": "host=/nonexistent dbname=none"}
    with worker(dsn, log, "--burst", "--executor", executor, **more) as process:
        assert process.wait(60) == 0, log.read_text()
    assert statuses(pg) == {"SUCCESSFUL": 2}, log.read_text()
    reaches.refresh()
    sees.refresh()
    assert isinstance(reaches.return_value, int)
    expected = {"DJANGO_SETTINGS_MODULE": SETTINGS} | (
        {} if named_by == "DATABASE_URL" else {"SHOP_DATABASE": str(parts["dbname"])}
    )
    assert sees.return_value == expected
