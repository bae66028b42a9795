"""A project that forgot to install the app: what tells it so, from a process in which nothing has imported a task."""

import os
import subprocess
import sys

SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = []
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "/nonexistent"}}
TASKS = {"default": {"BACKEND": "reproq_django.backend.ReproqBackend"}}
"""


def test_the_doctor_notices_that_the_app_is_not_installed(tmp_path):
    (tmp_path / "bare_settings.py").write_text(SETTINGS)
    told = subprocess.run(
        [sys.executable, "-m", "reproq", "doctor", "--settings", "bare_settings"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 3
    assert "✗ settings     reproq.E005: TASKS['default'] uses Reproq" in told.stdout
    assert "-> Add 'reproq_django' to INSTALLED_APPS" in told.stdout


def test_a_check_tells_it_too_where_an_app_imports_a_task_with_its_models(tmp_path):
    (tmp_path / "bare_settings.py").write_text(SETTINGS.replace("INSTALLED_APPS = []", 'INSTALLED_APPS = ["shop"]'))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "models.py").write_text("from django.tasks import task")
    told = subprocess.run(
        [sys.executable, "-m", "django", "check", "--settings", "bare_settings"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert "reproq.E005" in told.stderr
    assert "Add 'reproq_django' to INSTALLED_APPS" in told.stderr
