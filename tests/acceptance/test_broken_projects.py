"""A project that cannot be imported is told in one line, with the place, and as JSON; never by a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.workers import environment

SETTINGS = """
from tests.settings import DATABASES, SECRET_KEY
INSTALLED_APPS = ["reproq_django", "shop"]
TASKS = {"default": {"BACKEND": "reproq_django.backend.ReproqBackend"}}
"""
NEXT_LINE = SETTINGS.count("\n") + 1


def told(folder: Path, *arguments: str, settings: str = "", models: str = "") -> subprocess.CompletedProcess[str]:
    """A command in a project whose settings end like this, with an app whose models are these."""
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "models.py").write_text(models)
    (folder / "broken.py").write_text(SETTINGS + settings)
    own = environment("dbname=never_asked", DJANGO_SETTINGS_MODULE="broken")
    command = [sys.executable, "-m", "reproq", *arguments]
    return subprocess.run(command, env=own, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("x = (\n", "SyntaxError: '(' was never closed"),
        ("import os\nos.environ['NOT_THERE']\n", "KeyError: 'NOT_THERE'"),
        ("import not_there\n", "ModuleNotFoundError: No module named 'not_there'"),
        ("import json\njson.loads('{')\n", "json.decoder.JSONDecodeError: Expecting property name"),
    ],
)
def test_settings_that_raise_are_told_with_file_line_and_exception(tmp_path: Path, settings: str, said: str) -> None:
    ended = told(tmp_path, "status", "--json", settings=settings)
    line = NEXT_LINE + settings.count("\n") - 1
    told_once = f"the Django settings broken cannot be used: {tmp_path / 'broken.py'}, line {line}: {said}"
    assert ended.returncode == 2
    answer = json.loads(ended.stdout)
    assert answer["error"].startswith(told_once)
    assert answer["exception_class"] == "reproq.errors.ConfigurationError"
    assert ended.stderr == f"Error: {answer['error']}\n"


@pytest.mark.parametrize(
    "command", [("doctor", "--json"), ("enqueue", "shop.tasks.add", "--json"), ("schedules", "list", "--json")]
)
def test_an_app_that_raises_is_told_with_file_line_and_exception(tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = told(tmp_path, *command, models="import os\nprices = {}['customer']\n")
    assert ended.returncode == 2
    said = json.loads(ended.stdout)["error"]
    place = tmp_path / "shop" / "models.py"
    begins = (
        f"the apps of the Django settings broken cannot be imported: {place}, line 2: KeyError: 'customer'; mend it"
    )
    assert said.startswith(begins)
    assert "python -m django check --settings broken" in said
    assert ended.stderr == f"Error: {said}\n"


def test_an_app_that_is_not_there_is_no_line_of_anybody(tmp_path: Path) -> None:
    ended = told(tmp_path, "doctor", settings="INSTALLED_APPS.append('not_there')\n")
    assert ended.returncode == 2
    assert ended.stderr.endswith("ModuleNotFoundError: No module named 'not_there'; correct INSTALLED_APPS\n")
