"""What a worker or command says when it cannot work: the thing, the value, and the remedy; nothing is half-done."""

from collections.abc import Iterator

import pytest
from psycopg import conninfo

from tests.acceptance.workers import environment, reproq
from tests.plugins.databases import TestServer


def url(dsn: str, **changes: str) -> str:
    return conninfo.make_conninfo(dsn, **changes)


def test_a_database_that_is_not_migrated_names_the_command(empty_dsn: str) -> None:
    result = reproq(empty_dsn, "worker", "--burst", "--executor", "mock", check=False)
    assert result.returncode == 1
    assert "python manage.py migrate" in result.stderr


def test_a_malformed_address_is_refused_and_its_password_not_repeated(dsn: str) -> None:
    result = reproq(dsn, "status", "--dsn", "postgresql://u:sec%zzret@host/name", check=False)
    assert result.returncode == 2
    assert "cannot be parsed" in result.stderr
    assert "sec" not in result.stderr.replace("seconds", "")


def test_an_unknown_database_is_refused_with_its_name(dsn: str) -> None:
    result = reproq(url(dsn, dbname="nobody_made_it"), "worker", "--burst", "--executor", "mock", check=False)
    assert result.returncode == 2
    assert 'database "nobody_made_it" does not exist' in result.stderr


def test_an_unreachable_database_ends_a_command_with_its_address(dsn: str) -> None:
    result = reproq(url(dsn, host="127.0.0.1", port="1", password="s3cret"), "status", check=False)
    assert result.returncode == 1
    assert "host=127.0.0.1 port=1" in result.stderr
    assert "s3cret" not in result.stderr


@pytest.fixture
def other_dsn(server: TestServer) -> Iterator[str]:
    """Another installation: same tables, another uuid."""
    import psycopg

    address = server.create(server.template)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("UPDATE reproq_meta SET installation = gen_random_uuid()")
    yield address
    server.drop(address)


def test_two_different_databases_are_refused_and_both_named(dsn: str, other_dsn: str) -> None:
    result = reproq(dsn, "worker", "--burst", check=False, DATABASE_URL=other_dsn)
    assert result.returncode == 2
    for address in (dsn, other_dsn):
        assert str(conninfo.conninfo_to_dict(address)["dbname"]) in result.stderr


def test_all_wrong_settings_are_shown_together(dsn: str) -> None:
    result = reproq(
        dsn, "worker", "--lease", "10s", "--heartbeat", "5s", "--concurrency", "many", "--executor", "frok", check=False
    )
    assert result.returncode == 2
    assert "concurrency = 'many' is not a whole number" in result.stderr
    assert "executor = 'frok' is none of fork, spawn, command, mock" in result.stderr
    result = reproq(dsn, "worker", "--lease", "10s", "--heartbeat", "5s", check=False)
    assert "lease must be at least 3 x heartbeat, got lease=10s heartbeat=5s" in result.stderr


def test_a_backend_that_tasks_does_not_have_is_refused(dsn: str) -> None:
    result = reproq(dsn, "status", "--backend", "nightly", check=False)
    assert result.returncode == 2
    assert "TASKS has no backend 'nightly' (those of Reproq: 'default')" in result.stderr


def test_an_unknown_run_ends_with_four(dsn: str) -> None:
    assert reproq(dsn, "runs", "show", "424242", check=False).returncode == 4
    assert reproq(dsn, "replay", "424242", check=False).returncode == 4
    assert reproq(dsn, "replay", "--spec-hash", "ab" * 32, check=False).returncode == 4


def test_without_a_project_or_an_address_the_remedy_is_said(dsn: str, tmp_path: object) -> None:
    import subprocess
    import sys

    outside = {name: value for name, value in environment(dsn).items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-m", "reproq", "status"]
    result = subprocess.run(command, env=outside, cwd=str(tmp_path), capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "DATABASE_URL" in result.stderr
