"""A project that forgot to install the app: what tells it so, from a process in which nothing has imported a task."""

import os
import subprocess
import sys
from pathlib import Path

SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = []
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "/nonexistent"}}
TASKS = {"default": {"BACKEND": "reproq_django.backend.ReproqBackend"}}
"""


def run_in(folder: Path, module: str, command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command of a project in a folder."""
    return subprocess.run(
        [sys.executable, "-m", module, command, "--settings", "bare_settings"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)} | more,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_doctor_notices_that_the_app_is_not_installed(tmp_path):
    (tmp_path / "bare_settings.py").write_text(SETTINGS)
    told = run_in(tmp_path, "reproq", "doctor")
    assert told.returncode == 3
    assert "✗ settings     reproq.E005: TASKS['default'] uses Reproq" in told.stdout
    assert "-> Add 'reproq_django' to INSTALLED_APPS" in told.stdout


def test_a_check_tells_it_too_where_an_app_imports_a_task_with_its_models(tmp_path):
    (tmp_path / "bare_settings.py").write_text(SETTINGS.replace("INSTALLED_APPS = []", 'INSTALLED_APPS = ["shop"]'))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "models.py").write_text("from django.tasks import task")
    told = run_in(tmp_path, "django", "check", PYTHONPATH=str(tmp_path))
    assert told.returncode == 1
    assert "reproq.E005" in told.stderr
    assert "Add 'reproq_django' to INSTALLED_APPS" in told.stderr
