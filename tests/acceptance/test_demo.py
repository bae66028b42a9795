"""`reproq demo`: ends by itself, shows every way to end, and leaves no process behind."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reproq_django.embedded.processes import server_processes
from tests.acceptance.workers import ROOT, alive

TASK_BACKENDS = [
    "reproq_django.backend.ReproqBackend",
    "reproq_django.testing.ImmediateBackend",
    "reproq_django.testing.DummyBackend",
    "django.tasks.backends.immediate.ImmediateBackend",
    "django.tasks.backends.dummy.DummyBackend",
    "django_tasks_db.DatabaseBackend",
]


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REPROQ_", "DJANGO_"))}
    return {**kept, "REPROQ_DEMO_FOLDER": str(folder / "demo"), "HOME": str(folder), "PYTHONPATH": str(ROOT / "src")}


@pytest.mark.slow
def test_the_demo_ends_by_itself_and_leaves_nothing_behind(tmp_path: Path) -> None:
    elsewhere = dict.fromkeys(("DATABASE_URL", "REPROQ_DSN"), "postgresql://nobody@127.0.0.1:1/never_read")
    own = environment(tmp_path) | elsewhere
    command = [sys.executable, "-m", "reproq", "demo"]
    process = subprocess.Popen(command, env=own, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.communicate(timeout=240)[0].decode()
    assert process.returncode == 0, output
    assert "2 FAILED" in output
    assert "timeout: " in output
    assert "ValueError: this task always raises" in output
    assert "succeeded at attempt 3" in output
    assert "1 spec_hash" in output
    assert "SAME: both returned" in output
    assert re.search(r"The schedule 'every second' \(every second\) fired [123] times:", output)
    assert re.search(r"  due at (\d\d:\d\d:\d\d) UTC, run \d+ returned \d\d:\d\d:\d\d", output)
    assert server_processes(tmp_path / "demo" / "data") == []
    mark = str(tmp_path).encode()
    left = [path for path in Path("/proc").glob("[0-9]*/environ") if mark in _read(path)]
    assert not [path for path in left if alive(int(path.parent.name))]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("backend", TASK_BACKENDS)
def test_the_quickstarts_tasks_import_under_every_backend(backend: str, tmp_path: Path) -> None:
    code = f"""
from django.conf import settings
settings.configure(
    TASKS={{"default": {{"BACKEND": {backend!r}}}}},
    INSTALLED_APPS=["reproq_django", "reproq_django.quickstart", "django_tasks_db"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.postgresql", "NAME": "x"}}}},
)
import django
django.setup()
from reproq_django.quickstart import tasks
print(tasks.always_raises.module_path)
"""
    own = environment(tmp_path)
    ended = subprocess.run([sys.executable, "-c", code], env=own, cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    assert ended.stdout.decode().strip() == "reproq_django.quickstart.tasks.always_raises"
