"""The plugin that clears up after TERM, run in a pytest of its own on a made-up test that never ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MADE_UP = """
import pathlib, time, pytest
@pytest.fixture
def server():
    pathlib.Path("started").touch()
    yield
    pathlib.Path("stopped").touch()
def test_waits(server):
    time.sleep(600)
"""


@pytest.mark.parametrize(("workers", "whole_group"), [("0", False), ("1", False), ("1", True)])
def test_what_a_test_has_started_is_stopped_when_the_run_is_terminated(
    tmp_path: Path, workers: str, whole_group: bool
) -> None:
    (tmp_path / "test_made_up.py").write_text(MADE_UP)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = kept | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-p", "tests.plugins.terminated", "-n", workers]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(tmp_path / "started")
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGTERM)
        assert process.wait(60) != 0
        wait_for(tmp_path / "stopped")
    finally:
        process.kill()


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline, f"no {file.name} in 60 s"
        time.sleep(0.05)
