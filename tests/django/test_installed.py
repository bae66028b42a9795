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
