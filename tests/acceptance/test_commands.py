"""Commands for people and machines, through the real door."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql

from tests.acceptance.workers import ROOT, TASKS, environment, reproq, statuses, wait_for, worker


def listed(dsn: str, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in reproq(dsn, "runs", "list", "--json", *arguments).stdout.splitlines()]


def test_a_task_is_enqueued_by_its_path_with_arguments_and_options(dsn: str, pg: psycopg.Connection) -> None:
    arguments = ("--args", "[1, 2]", "--queue", "mail", "--priority", "7", "--in", "1h", "--json")
    facts = json.loads(reproq(dsn, "enqueue", f"{TASKS}.add", *arguments).stdout)
    row = pg.execute("SELECT id, args::text, queue_name, priority, status FROM task_runs").fetchone()
    assert row == (int(facts["id"].partition("-")[0]), "[1,2]", "mail", 7, "SCHEDULED")


def test_waiting_for_a_run_that_nobody_takes_ends_with_the_reason(dsn: str, pg: psycopg.Connection) -> None:
    result = reproq(dsn, "enqueue", f"{TASKS}.add", "--args", "[1,2]", "--wait", "200ms", check=False)
    assert result.returncode == 1
    assert "does a worker serve the queue default?" in result.stderr
    assert statuses(pg) == {"READY": 1}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--args", "{}"), "--args = '{}' is not an array"),
        (("--args", "[1"), "is not JSON"),
        (("--kwargs", "[]"), "--kwargs = '[]' is not an object"),
        (("--in", "soon"), "--in = 'soon' is not a duration such as"),
        (("--in", "-5m"), "--in = '-5m' is not a duration such as"),
        (("--in", "999999999999d"), "--in = '999999999999d' is more than 36,500 days"),
        (("--at", "2001-01-01T00:00:00+00:00"), "is in the past"),
        (("--at", "tomorrow"), "is not a moment such as"),
        (("--at", "2040-01-01", "--in", "5m"), "give either --in or --at"),
        (("--args", "[1, 2]", "--expires-in", "0s"), "expires_in = 0.0 is outside 0.001 to"),
        (("--args", "[1, 2]", "--expires-in", "30000d"), "is outside 0.001 to"),
        (("--args", "[1, 2]", "--queue", "a,b"), "Queue 'a,b' must be printable, without commas"),
    ],
)
def test_what_cannot_be_enqueued_is_refused_before_anything_is_written(
    arguments: tuple[str, ...], says: str, dsn: str, pg: psycopg.Connection
) -> None:
    result = reproq(dsn, "enqueue", f"{TASKS}.add", *arguments, check=False)
    assert result.returncode == 2
    assert says in result.stderr
    assert statuses(pg) == {}


def test_an_unknown_path_names_what_was_not_found(dsn: str) -> None:
    result = reproq(dsn, "enqueue", "tests.acceptance.project.tasks.nothing", check=False)
    assert result.returncode == 1
    assert "has no 'nothing'" in result.stderr


def test_runs_are_listed_by_status_queue_task_error_spec_and_time(
    dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("add", 1, 2)
    enqueue("add", 1, 2, queue_name="mail")
    enqueue("fail", "words")
    reproq(dsn, "worker", "--burst", "--queues", "*")
    (failed,) = listed(dsn, "--status", "FAILED")
    told = tuple(failed[f"error_{name}"] for name in ("kind", "class", "message"))
    assert told == ("exception", "builtins.ValueError", "words")
    assert listed(dsn, "--error", "exception") == [failed]
    assert [run["queue_name"] for run in listed(dsn, "--queue", "mail")] == ["mail"]
    assert len(listed(dsn, "--task", f"{TASKS}.add")) == 2
    assert listed(dsn, "--spec-hash", failed["spec_hash"][:10]) == [failed]
    assert len(listed(dsn, "--since", "1h")) == 3
    pg.execute("UPDATE task_runs SET enqueued_at = enqueued_at - interval '2 hours' WHERE status = 'FAILED'")
    assert len(listed(dsn, "--since", "1h")) == 2
    assert len(listed(dsn, "--before", str(failed["id"]))) == 2


def test_a_worker_requeues_by_id_and_by_hash_and_runs_nothing(
    dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("add", 1, 2)
    number = result.id.partition("-")[0]
    assert f"run {number} is enqueued again" in reproq(dsn, "worker", "--requeue-id", number).stdout
    assert statuses(pg) == {"READY": 2}
    reproq(dsn, "worker", "--burst")
    (spec_hash,) = pg.execute("SELECT DISTINCT spec_hash FROM task_runs").fetchone()
    reproq(dsn, "worker", "--requeue-hash", spec_hash)
    assert statuses(pg) == {"READY": 1, "SUCCESSFUL": 2}
    assert len(pg.execute("SELECT DISTINCT spec_hash FROM task_runs").fetchall()) == 1


def test_a_replay_is_compared_and_says_same_or_differs(
    dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("add", 1, 2)
    reproq(dsn, "worker", "--burst")
    (number,) = pg.execute("SELECT id FROM task_runs").fetchone()
    for stored, code, says in (("3", 0, "SAME"), ("4", 3, "DIFFERS")):
        pg.execute("UPDATE task_runs SET return_value = %s WHERE id = %s", [stored, number])
        command = [sys.executable, "-m", "reproq", "replay", str(number), "--compare", "--json"]
        replay = subprocess.Popen(command, env=environment(dsn), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        while statuses(pg).get("READY", 0) == 0:
            assert replay.poll() is None
        reproq(dsn, "worker", "--burst")
        output, _ = replay.communicate(timeout=60)
        assert (replay.returncode, json.loads(output)["sameness"]) == (code, says)


def test_one_run_is_shown_whole(dsn: str, enqueue: Callable[..., Any]) -> None:
    result = enqueue("fail", "words with \x1b[31mcolour")
    reproq(dsn, "worker", "--burst")
    facts = json.loads(reproq(dsn, "runs", "show", result.id, "--json").stdout)
    assert (facts["result_id"], facts["status"], facts["attempts"]) == (result.id, "FAILED", 2)
    assert [error["attempt"] for error in facts["errors"]] == [1, 2]
    shown = reproq(dsn, "runs", "show", result.id).stdout
    assert "ValueError" in shown
    assert "\x1b[31m" not in shown


def test_a_run_that_a_transaction_holds_is_shown_with_who_holds_it(
    dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("add", 1, 2)
    with psycopg.connect(dsn, application_name="somebody") as other:
        pid = other.execute("UPDATE task_runs SET priority = 1 RETURNING pg_backend_pid()").fetchone()[0]
        facts = json.loads(reproq(dsn, "runs", "show", result.id, "--json").stdout)
        assert facts["held_up_by"].startswith(f"the transaction of pid {pid} (somebody), open for ")
        other.rollback()
    assert json.loads(reproq(dsn, "runs", "show", result.id, "--json").stdout)["held_up_by"] is None


def test_the_configuration_says_where_each_value_comes_from_and_masks_the_secret(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "reproq.toml").write_text('lease = "40s"\nheartbeat = "9s"\nqueues = ["mail", "default"]\n')
    with_password = conninfo.make_conninfo(dsn, password="s3cret")
    arguments = ("config", "--json", "--dsn", with_password, "--concurrency", "3")
    result = reproq(dsn, *arguments, cwd=tmp_path, REPROQ_HEARTBEAT="8s")
    facts = json.loads(result.stdout)
    assert facts["lease"] == {"value": "40s", "from": "reproq.toml"}
    assert facts["heartbeat"] == {"value": "8s", "from": "the environment variable REPROQ_HEARTBEAT"}
    assert facts["queues"]["value"] == "mail,default"
    assert facts["concurrency"] == {"value": 3, "from": "--concurrency"}
    assert facts["timeout"] == {"value": "900s", "from": "default"}
    assert "s3cret" not in result.stdout
    assert str(conninfo.conninfo_to_dict(dsn)["dbname"]) in facts["dsn"]["value"]


def test_the_configuration_shows_commands_as_they_can_be_written(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "reproq.toml").write_text('[commands]\n"queue:media" = ["/opt/[bold]/run", "--fast"]\n')
    shown = json.loads(reproq(dsn, "config", "--json", cwd=tmp_path).stdout)["commands"]["value"]
    assert json.loads(shown) == {"queue:media": ["/opt/[bold]/run", "--fast"]}
    assert '{"queue:media": ["/opt/[bold]/run", "--fast"]}' in reproq(dsn, "config", cwd=tmp_path, COLUMNS="250").stdout


def test_an_unknown_key_of_the_file_names_the_nearest_one(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "reproq.toml").write_text('leese = "40s"\n')
    result = reproq(dsn, "config", check=False, cwd=tmp_path)
    assert result.returncode == 2
    assert "reproq.toml: there is no setting leese; did you mean lease?" in result.stderr


def findings(result: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in json.loads(result.stdout)}


@pytest.mark.direct
def test_the_doctor_finds_what_is_right_and_what_the_tests_server_does_for_speed(dsn: str) -> None:
    result = reproq(dsn, "doctor", "--json", check=False)
    found = findings(result)
    assert [name for name, finding in found.items() if not finding["ok"]] in ([], ["durable"])
    assert result.returncode == (0 if found["durable"]["ok"] else 3)
    assert set(found) >= {"database", "LISTEN", "clock", "connections", "migrations", "encoding"}


def test_a_worker_with_a_lease_that_one_lost_connection_may_cost_says_so_once_with_every_part(dsn: str) -> None:
    mock = ("worker", "--burst", "--executor", "mock")
    assert "lease_short" not in reproq(dsn, *mock).stderr
    said = reproq(dsn, *mock, "--lease", "2s", "--heartbeat", "500ms", "--kill-grace", "600ms").stderr
    (line,) = [line for line in said.splitlines() if "lease_short" in line]
    parts = "heartbeat_seconds=0.5 database_timeout_seconds=1 connect_timeout_seconds=5 hosts=1 kill_grace_seconds=0.6"
    assert f"WARNING worker.lease_short {parts} sum_seconds=7.1 lease_seconds=2 next=" in line
    assert "raise lease over 14.1s" in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--executor", "pool", "--max-rss", "200MB", "--max-memory", "1GiB"), ""),
        (("--executor", "fork", "--max-rss", "200MB"), "max_rss_bytes=200000000 max_memory_bytes=0"),
        (("--executor", "pool", "--max-rss", "2GB", "--max-memory", "2GB"), "set max_rss well below max_memory"),
    ],
)
def test_a_worker_says_once_that_a_bound_on_memory_is_idle(dsn: str, arguments: tuple[str, ...], says: str) -> None:
    said = reproq(dsn, "worker", "--burst", *arguments).stderr
    lines = [line for line in said.splitlines() if "memory_bounds" in line]
    assert len(lines) == bool(says)
    assert all("WARNING worker.memory_bounds" in line and says in line for line in lines)


def test_a_bound_that_leaves_nothing_for_a_run_is_refused_in_one_line(dsn: str) -> None:
    result = reproq(dsn, "worker", "--burst", "--max-memory", "1MB", check=False)
    assert result.returncode == 2
    (line,) = [line for line in result.stderr.splitlines() if "max_memory" in line]
    assert "max_memory = 1,000,000 bytes leaves nothing for a run" in line
    assert "Traceback" not in result.stderr


def test_the_doctor_names_the_command_for_a_database_that_is_not_migrated(empty_dsn: str) -> None:
    result = reproq(empty_dsn, "doctor", check=False)
    assert result.returncode == 3
    assert "✗ migrations" in result.stdout
    assert "-> python manage.py migrate" in result.stdout


def test_the_doctor_says_when_there_is_no_database(dsn: str) -> None:
    nowhere = conninfo.make_conninfo(dsn, host="127.0.0.1", port="1")
    for result, place in (
        (reproq(nowhere, "doctor", "--json", check=False), "DATABASES of the Django project"),
        (reproq(dsn, "doctor", "--json", check=False, REPROQ_DSN=nowhere), "the environment variable REPROQ_DSN"),
    ):
        assert result.returncode == 3
        assert [name for name, finding in findings(result).items() if not finding["ok"]] == ["database"]
        assert "host=127.0.0.1 port=1" in findings(result)["database"]["detail"]
        assert f"(the address comes from {place})" in findings(result)["database"]["detail"]


@pytest.mark.direct
def test_a_standby_that_answers_is_told_in_one_line_with_its_remedy(dsn: str, pg: psycopg.Connection) -> None:
    parts = conninfo.conninfo_to_dict(dsn)
    several = conninfo.make_conninfo(dsn, host=f"127.0.0.1,{parts['host']}", port=f"1,{parts['port']}")
    pg.execute(
        sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(sql.Identifier(pg.info.dbname))
    )
    told = reproq(several, "status", check=False).stderr
    assert told.count("Connection refused") == told.count("session is read-only") == 1
    assert "Multiple connection attempts" not in told
    found = findings(reproq(several, "doctor", "--json", check=False))["database"]
    assert "a standby answers" in found["detail"]
    assert found["remedy"] == "promote the standby, or wait until the primary is back"


def test_a_result_id_of_another_run_is_refused(dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]) -> None:
    result = enqueue("add", 1, 2)
    last = "0" if result.id[-1] != "0" else "1"
    for command in (("runs", "show"), ("replay",), ("worker", "--requeue-id")):
        refused = reproq(dsn, *command, result.id[:-1] + last, check=False)
        assert refused.returncode == 4, command
        assert "is another one" in refused.stderr
    assert statuses(pg) == {"READY": 1}


@pytest.mark.parametrize("command", [("status",), ("runs", "list"), ("verify",), ("schedules", "list")], ids=" ".join)
def test_a_program_that_asks_in_an_outage_gets_an_object_that_says_so(dsn: str, command: tuple[str, ...]) -> None:
    nowhere = conninfo.make_conninfo(dsn, host="127.0.0.1", port=1)
    result = reproq(nowhere, *command, "--json", check=False)
    (line,) = result.stdout.splitlines()
    told = json.loads(line)
    assert told["exception_class"] == "reproq.errors.DatabaseUnavailable"
    assert "127.0.0.1" in told["error"]
    assert "Error: " + told["error"] in result.stderr
    assert result.returncode == 1
    assert reproq(nowhere, *command, check=False).stdout == ""


def test_a_program_that_asks_what_cannot_be_gets_an_object_and_the_exit_code_of_that(dsn: str, empty_dsn: str) -> None:
    for result, kind, code in (
        (reproq(dsn, "runs", "show", "7", "--json", check=False), "RunNotFound", 4),
        (reproq(dsn, "status", "--json", check=False, REPROQ_LEASE="often"), "ConfigurationError", 2),
        (reproq(empty_dsn, "status", "--json", check=False), "NotMigrated", 1),
    ):
        told = json.loads(result.stdout)
        assert (told["exception_class"], result.returncode) == (f"reproq.errors.{kind}", code)
        assert "Error: " + told["error"] in result.stderr


def test_status_names_a_queue_that_nobody_serves(dsn: str, enqueue: Callable[..., Any]) -> None:
    enqueue("add", 1, 2, queue_name="mail")
    assert "queue      mail: runs are READY, and no worker serves it" in reproq(dsn, "status").stdout
    assert json.loads(reproq(dsn, "status", "--json").stdout)["unserved_queues"] == ["mail"]


def test_status_tells_how_to_start_a_worker_that_this_project_takes_and_that_serves_what_waits(
    dsn: str, pg: psycopg.Connection
) -> None:
    queues = {"PROJECT_QUEUES": "mail,audit"}
    reproq(dsn, "loadgen", "--tasks", "3", "--queues", "audit", "--run-after-percent", "0", **queues)
    said = reproq(dsn, "status", **queues).stdout
    (command,) = re.findall(r"worker     none; start one with: reproq (.+)", said)
    reproq(dsn, *shlex.split(command), "--burst", "--executor", "mock", REPROQ_EXEC_SLEEP="0ms", **queues)
    assert statuses(pg) == {"SUCCESSFUL": 3}


def test_status_here_tells_a_health_check_whether_this_hosts_worker_is_alive(
    dsn: str, log: Path, pg: psycopg.Connection
) -> None:
    missing = reproq(dsn, "status", "--here", check=False)
    assert (missing.returncode, missing.stdout) == (3, "")
    with worker(dsn, log, "--executor", "mock"):
        wait_for("the worker", lambda: pg.execute("SELECT 1 FROM reproq_workers").fetchone())
        assert re.search(r"is alive; last seen \d+ s ago", reproq(dsn, "status", "--here").stdout)
    pg.execute("INSERT INTO reproq_workers (worker_id, hostname) VALUES ('w-1', 'elsewhere')")
    assert reproq(dsn, "status", "--here", check=False).returncode == 3


def test_a_narrow_list_keeps_ids_statuses_and_tasks_whole(
    dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("fail", "a sentence of an error that is long enough to need a second line")
    reproq(dsn, "worker", "--burst")
    shown = reproq(dsn, "runs", "list", COLUMNS="80").stdout
    header, row = shown.splitlines()
    assert f"{result.id.partition('-')[0]}   FAILED" in row
    assert f"{TASKS}.fail  ValueError: a " in row
    assert max(map(len, (header, row))) <= 80


def test_a_burst_waits_for_runs_whose_worker_was_lost(
    dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("add", 1, 2)
    pg.execute(
        """
        UPDATE task_runs SET
            status = 'RUNNING', attempts = 1, worker_ids = '{gone}', worker_id = 'gone', claim_token = 7,
            claimed_at = now() - interval '1 hour', lease_expires_at = now() - interval '59 minutes',
            backoff_seconds = '{0.05}'
        """
    )
    reproq(dsn, "worker", "--burst", "--lease", "1s", "--heartbeat", "300ms", "--poll-interval", "100ms")
    assert statuses(pg) == {"SUCCESSFUL": 1}


def test_manage_py_check_reports_mistakes_in_tasks(tmp_path: Path, dsn: str) -> None:
    (tmp_path / "mistaken.py").write_text(
        "from tests.settings import DATABASES, SECRET_KEY\nINSTALLED_APPS = ['reproq_django']\nUSE_TZ = True\n"
        "TASKS = {'default': {'BACKEND': 'reproq_django.backend.ReproqBackend', 'OPTIONS': {'MAX_ATTEMPT': 5}}}\n"
    )
    own = environment(dsn, DJANGO_SETTINGS_MODULE="mistaken")
    own["PYTHONPATH"] += f":{tmp_path}"
    command = [sys.executable, "-m", "django", "check"]
    checked = subprocess.run(command, env=own, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 1
    assert "reproq.E001" in checked.stderr


def test_a_scheduled_run_is_told_with_its_moment_and_a_failed_one_with_its_error(
    dsn: str, log: Path, enqueue: Callable[..., Any]
) -> None:
    assert " is SCHEDULED for 2" in reproq(dsn, "enqueue", f"{TASKS}.add", "--args", "[1,2]", "--in", "1h").stdout
    with worker(dsn, log):
        failed = reproq(dsn, "enqueue", f"{TASKS}.fail", "--args", '["words"]', "--wait", "30s", check=False)
        retried = reproq(dsn, "enqueue", f"{TASKS}.add", "--args", '[1,"x"]', "--wait", "6s", check=False)
    assert re.search(r"it failed [12] of 3 times \(TypeError: unsupported operand", retried.stderr), retried.stderr
    assert failed.returncode == 1
    assert "is FAILED: ValueError: words; all of it: reproq runs show " in failed.stdout


def test_a_misspelt_variable_is_told(dsn: str) -> None:
    said = reproq(dsn, "status", REPROQ_LEESE="3").stderr
    assert "the environment variable REPROQ_LEESE sets nothing; did you mean REPROQ_LEASE?" in said
