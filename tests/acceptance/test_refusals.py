"""What a worker or command says when it cannot work: the thing, the value, and the remedy; nothing is half-done."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from tests.acceptance.workers import TASKS, environment, reproq, statuses, wait_for, worker
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
    server.leave(address)


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
    assert "executor = 'frok' is none of fork, pool, spawn, command, mock" in result.stderr
    result = reproq(dsn, "worker", "--lease", "10s", "--heartbeat", "5s", check=False)
    assert "lease must be at least 3 x heartbeat, got lease=10s heartbeat=5s" in result.stderr


def test_a_wrong_flag_is_named_as_it_was_written(dsn: str) -> None:
    result = reproq(dsn, "beat", "--interval", "0", "--lease", "0", check=False)
    assert result.returncode == 2
    assert "--interval: beat_interval = '0' is outside 0.05 to 3600 s\n" in result.stderr
    assert "--lease: lease = '0' is outside 0.5 to 86400 s\n" in result.stderr
    result = reproq(dsn, "worker", "--beat-interval", "0", check=False)
    assert "--beat-interval: beat_interval = '0' is outside 0.05 to 3600 s\n" in result.stderr


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


def test_an_error_of_the_database_says_where_its_address_comes_from(dsn: str) -> None:
    nowhere = url(dsn, host="127.0.0.1", port="1")
    of_variable = reproq(dsn, "status", check=False, DATABASE_URL=nowhere)
    assert of_variable.returncode == 1
    assert "(the address comes from the environment variable DATABASE_URL)" in of_variable.stderr
    assert "(the address comes from --dsn)" in reproq(dsn, "status", "--dsn", nowhere, check=False).stderr
    of_django = reproq(nowhere, "runs", "list", check=False)
    assert "(the address comes from DATABASES of the Django project)" in of_django.stderr


def test_a_wrong_value_is_named_with_the_place_where_it_stands(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "reproq.toml").write_text('lease = 30\nqueues = 5\ntimeout = "soon"\n')
    result = reproq(dsn, "worker", "--concurrency", "two", check=False, cwd=tmp_path, POLL_INTERVAL="often")
    assert result.returncode == 2
    for line in (
        "reproq.toml: queues = 5 is not a list of names",
        "reproq.toml: timeout = 'soon' is not a duration",
        "the environment variable POLL_INTERVAL: poll_interval = 'often' is not a duration",
        "--concurrency: concurrency = 'two' is not a whole number",
    ):
        assert line in result.stderr


def test_a_queue_that_no_task_can_be_in_is_refused_before_a_worker_starts_unless_it_is_for_runs_from_sql(
    dsn: str, pg: psycopg.Connection
) -> None:
    pg.execute(f"SELECT reproq_enqueue('{TASKS}.add', '[1, 2]', queue_name => 'defualt')")
    burst = ("worker", "--burst", "--queues", "defualt")
    refused = reproq(dsn, *burst, check=False, PROJECT_QUEUES="default,mail")
    assert refused.returncode == 2
    assert "--queues: queues names the queue 'defualt', in which no task can be: QUEUES has default" in refused.stderr
    assert statuses(pg) == {"READY": 1}
    reproq(dsn, *burst, "--any-queue", PROJECT_QUEUES="default,mail")
    assert statuses(pg) == {"SUCCESSFUL": 1}


def test_a_file_that_is_no_toml_is_named(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "reproq.toml").write_text("lease = \n")
    result = reproq(dsn, "status", check=False, cwd=tmp_path)
    assert result.returncode == 2
    assert f"{tmp_path}/reproq.toml is not TOML" in result.stderr


def test_a_password_in_a_file_that_others_can_read_is_warned_of(dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "reproq.toml"
    file.write_text(f'dsn = "{url(dsn, password="s3cret")}"\n')
    for mode, warned in ((0o644, True), (0o600, False)):
        file.chmod(mode)
        result = reproq(dsn, "config", cwd=tmp_path)
        assert ("holds a password in dsn and can be read by others (mode 644); chmod 600" in result.stderr) is warned
        assert "s3cret" not in result.stderr + result.stdout
    file.write_text(f'dsn = "{url(dsn)}"\n')
    file.chmod(0o644)
    assert "WARNING" not in reproq(dsn, "config", cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--colour", "red"), "No such option"),
        (("--status", "PENDING"), "'PENDING' is not one of"),
        (("--error", "sad"), "'sad' is not one of"),
        (("--since", "yesterday"), "--since = 'yesterday' is not a duration such as"),
        (("--since", "999999999999d"), "--since = '999999999999d' is more than"),
        (("--limit", "0"), "0 is not in the range"),
    ],
)
def test_a_filter_that_does_not_exist_or_cannot_be_is_refused(dsn: str, arguments: tuple[str, str], says: str) -> None:
    result = reproq(dsn, "runs", "list", *arguments, check=False)
    assert result.returncode == 2
    assert says in " ".join(result.stderr.split())


def test_requeueing_by_id_and_by_hash_at_once_is_refused(dsn: str) -> None:
    result = reproq(dsn, "worker", "--requeue-id", "1", "--requeue-hash", "ab", check=False)
    assert result.returncode == 2
    assert "give either --requeue-id or --requeue-hash" in result.stderr


@pytest.mark.slow
@pytest.mark.waits
def test_a_second_living_worker_of_one_name_is_refused_with_the_remedy(
    dsn: str, log: Path, tmp_path: Path, pg: psycopg.Connection
) -> None:
    quick = ("--worker-id", "mail-1", "--executor", "mock", "--lease", "4s")  # twice as long the second asks again
    second_log = tmp_path / "second.log"
    with worker(dsn, log, *quick):
        wait_for("the first to register", lambda: "worker.started worker=mail-1" in log.read_text())
        with worker(dsn, second_log, *quick) as second:
            assert second.wait(30) == 2
        told = second_log.read_text()
        assert "worker.id_taken worker=mail-1" in told
        assert "another living worker bears the id mail-1; give this one another --worker-id" in told
        assert pg.execute("SELECT count(*) FROM reproq_workers").fetchone() == (1,)
