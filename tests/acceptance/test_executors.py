"""A real worker with each executor that starts processes of its own, from the enqueue to the stored result."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.workers import ROOT, TASKS, environment, reproq, statuses, wait_for, worker


def test_a_pool_runs_many_tasks_in_few_processes_and_stores_what_each_returns(
    dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    results = [enqueue("add", number, 1) for number in range(300)]
    failing = enqueue("fail", "on purpose")
    reproq(dsn, "worker", "--burst", "--executor", "pool", "--concurrency", "2", "--max-runs-per-child", "50")
    for result in (*results, failing):
        result.refresh()
    assert [result.return_value for result in results] == list(range(1, 301))
    assert [result.attempts for result in results] == [1] * 300
    assert (str(failing.status), failing.attempts) == ("FAILED", 2)


@pytest.mark.parametrize("mode", ["shell", "spawn"])
def test_a_cold_interpreter_runs_a_task_and_stores_what_it_returns(
    mode: str, dsn: str, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("add", 2, 3)
    reproq(dsn, "worker", "--burst", EXEC_MODE=mode)
    result.refresh()
    assert (result.status, result.return_value) == ("SUCCESSFUL", 5)


def test_the_interpreter_of_spawn_is_the_configured_one(dsn: str, tmp_path: Path, enqueue: Callable[..., Any]) -> None:
    python = tmp_path / "python-of-my-own"
    python.write_text(f'#!/bin/sh\ntouch "{tmp_path}/ran"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    result = enqueue("add", 2, 3)
    reproq(dsn, "worker", "--burst", EXEC_MODE="shell", PYTHON_PATH=str(python))
    result.refresh()
    assert result.return_value == 5
    assert (tmp_path / "ran").exists()


def test_an_interpreter_that_does_not_exist_is_refused_at_the_start(dsn: str) -> None:
    result = reproq(dsn, "worker", "--burst", check=False, EXEC_MODE="shell", PYTHON_PATH="/nowhere/python")
    assert result.returncode == 2
    assert "python_path = '/nowhere/python' is no program that can be run; name the interpreter" in result.stderr


def test_programs_run_what_is_mapped_to_them_and_the_rest_waits(dsn: str, pg: psycopg.Connection, log: Path) -> None:
    commands = json.dumps({"media.*": ["examples/resize.sh"], "queue:other": "sh -c 'echo 1'"})
    pg.execute("INSERT INTO task_runs (task_path, args) VALUES ('media.resize', '[640]'), ('nobody.knows', '[]')")
    looked_at = "SELECT count(*) FROM task_runs WHERE status = 'SUCCESSFUL' OR waiting_reason IS NOT NULL"
    with worker(dsn, log, "--executor", "command", "--commands", commands):
        wait_for("both runs to be looked at", lambda: pg.execute(looked_at).fetchone() == (2,))
    assert set(statuses(pg)) in ({"SUCCESSFUL", "SCHEDULED"}, {"SUCCESSFUL", "READY"})
    (value,) = pg.execute("SELECT return_value::text FROM task_runs WHERE task_path = 'media.resize'").fetchone()
    assert value == '{"width":640,"half":320}'
    (reason,) = pg.execute("SELECT waiting_reason FROM task_runs WHERE task_path = 'nobody.knows'").fetchone()
    assert reason.startswith("no command is mapped to the task 'nobody.knows'")


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        ("", "the executor command has no commands; map a task path or queue to a program"),
        ('{"a.*": []}', "has for a.* a command without a program"),
        ('{"a.*": ["/no/such/program"]}', "commands has for a.* the program '/no/such/program', which does not exist"),
    ],
)
def test_commands_that_cannot_work_are_refused_at_the_start(dsn: str, commands: str, reason: str) -> None:
    result = reproq(dsn, "worker", "--executor", "command", "--commands", commands, "--burst", check=False)
    assert result.returncode == 2
    assert reason in result.stderr


def test_the_cold_executor_runs_one_payload_by_hand(dsn: str) -> None:
    payload = json.dumps({"task_path": f"{TASKS}.add", "args": [2, 3]})
    command = [sys.executable, "-m", "reproq_django.executor", "--payload", payload]
    result = subprocess.run(command, env=environment(dsn), cwd=ROOT, capture_output=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["return"] == 5


@pytest.mark.parametrize("pattern", [f"{TASKS}.resize", "queue:media"])
def test_a_stub_is_enqueued_in_django_run_by_a_program_and_its_result_read(
    pattern: str, dsn: str, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("resize", 640, queue_name="media")
    commands = json.dumps({pattern: ["examples/resize.sh"]})
    reproq(dsn, "worker", "--burst", "--executor", "command", "--commands", commands, "--queues", "media")
    stored = result.task.get_result(result.id)
    assert (str(stored.status), stored.return_value) == ("SUCCESSFUL", {"width": 640, "half": 320})
    assert (stored.attempts, stored.errors) == (1, [])


def test_a_program_that_fails_leaves_djangos_error(dsn: str, enqueue: Callable[..., Any]) -> None:
    result = enqueue("resize", "wide")
    commands = json.dumps({"*.resize": ["examples/resize.sh"]})
    reproq(dsn, "worker", "--burst", "--executor", "command", "--commands", commands)
    result.refresh()
    assert (str(result.status), result.errors[0].exception_class_path) == ("FAILED", "BadWidth")
    assert result.errors[0].traceback == "args must hold one whole number"


def test_sql_enqueues_what_no_python_knows_and_a_program_runs_it(dsn: str, pg: psycopg.Connection) -> None:
    query = "SELECT reproq_enqueue('rust.resize', '[640]'::json, queue_name => 'rust')"
    (number,) = pg.execute(query).fetchone() or (0,)
    commands = json.dumps({"rust.*": ["examples/resize.sh"]})
    reproq(dsn, "worker", "--burst", "--executor", "command", "--commands", commands, "--queues", "rust")
    facts = json.loads(reproq(dsn, "runs", "show", str(number), "--json").stdout)
    assert (facts["status"], facts["return_value"]) == ("SUCCESSFUL", {"width": 640, "half": 320})
