"""A real worker with each executor that starts processes of its own, from the enqueue to the stored result."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.workers import ROOT, TASKS, environment, reproq


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


def test_the_cold_executor_runs_one_payload_by_hand(dsn: str) -> None:
    payload = json.dumps({"task_path": f"{TASKS}.add", "args": [2, 3]})
    command = [sys.executable, "-m", "reproq_django.executor", "--payload", payload]
    result = subprocess.run(command, env=environment(dsn), cwd=ROOT, capture_output=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["return"] == 5
