"""The README's example, executed as it is printed, in a project that `startproject` made."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from tests.acceptance.workers import ROOT, environment, statuses, wait_for
from tests.docs.pages import blocks_in
from tests.docs.story import commands_in

README = (ROOT / "README.md").read_text("utf-8")


def blocks(section: str) -> list[tuple[str, str]]:
    """The fenced blocks of one section: `(language, text)`."""
    text = README.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return [(block.language, block.text) for block in blocks_in(text)]


def python_of(name: str) -> str:
    """The first Python block of the example that begins with the comment `# name`."""
    return next(text for kind, text in blocks("Add it to your project") if kind == "python" and f"# {name}\n" in text)


def commands() -> list[list[str]]:
    """The shell lines of the example, as arguments, with `python` as this interpreter."""
    consoles = [text for kind, text in blocks("Add it to your project") if kind == "console"]
    shown = [command.split() for text in consoles for command, _ in commands_in(text)]
    return [[sys.executable, *words[1:]] for words in shown if words[0] == "python"]


@pytest.fixture
def project(tmp_path: Path, empty_dsn: str) -> Path:
    """A project as Django makes it, on PostgreSQL, with an application `shop`."""
    for arguments in (["startproject", "site1", "."], ["startapp", "shop"]):
        subprocess.run([sys.executable, "-m", "django", *arguments], cwd=tmp_path, check=True)
    parts = conninfo.conninfo_to_dict(empty_dsn)
    entry = {"ENGINE": "django.db.backends.postgresql", "NAME": parts["dbname"], "USER": parts.get("user", "")}
    entry |= {"HOST": parts["host"], "PORT": parts.get("port", ""), "PASSWORD": parts.get("password", "")}
    with (tmp_path / "site1" / "settings.py").open("a") as settings:
        if "an app that `INSTALLED_APPS` names (`shop` here)" in README:  # a stranger does what it says, and no more
            settings.write('\nINSTALLED_APPS += ["shop"]')
        settings.write(f'\nDATABASES = {{"default": {entry!r}}}\n')
    return tmp_path


def test_the_example_works_as_printed(project: Path, empty_dsn: str, empty_pg: psycopg.Connection) -> None:
    own = {name: value for name, value in environment(empty_dsn).items() if name != "DJANGO_SETTINGS_MODULE"}
    with (project / "site1" / "settings.py").open("a") as settings:
        settings.write(python_of("settings.py"))
    (project / "shop" / "tasks.py").write_text(python_of("shop/tasks.py"))
    migrate, worker = commands()
    subprocess.run(migrate, cwd=project, env=own, check=True, capture_output=True)
    enqueue = [sys.executable, "manage.py", "shell", "-c", python_of("anywhere")]
    subprocess.run(enqueue, cwd=project, env=own, check=True, capture_output=True)
    with (project / "log").open("wb") as log:
        running = subprocess.Popen(worker, cwd=project, env=own, stdout=log, stderr=log)
        try:
            wait_for("the run to end", lambda: statuses(empty_pg) == {"SUCCESSFUL": 1})
        finally:
            running.send_signal(signal.SIGTERM)
            assert running.wait(30) == 0, (project / "log").read_text()
    assert empty_pg.execute("SELECT return_value #>> '{}' FROM task_runs").fetchone() == ("receipt of order 42 sent",)
    assert empty_pg.execute("SELECT name FROM periodic_tasks").fetchone() == ("shop.tasks.close_the_books",)


def test_both_doors_lead_to_the_same_commands(project: Path, empty_dsn: str) -> None:
    with (project / "site1" / "settings.py").open("a") as settings:
        settings.write(python_of("settings.py"))
    own = {name: value for name, value in environment(empty_dsn).items() if name != "DJANGO_SETTINGS_MODULE"}
    for command in ([sys.executable, "manage.py", "migrate"], [sys.executable, "manage.py", "reproq", "status"]):
        subprocess.run(command, cwd=project, env=own, check=True, capture_output=True)
    by_manage = [sys.executable, "manage.py", "reproq", "status", "--json"]
    by_program = [sys.executable, "-m", "reproq", "status", "--json"]
    outputs = [
        subprocess.run(command, cwd=project, env=own, check=True, capture_output=True, text=True).stdout
        for command in (by_manage, by_program)
    ]
    assert outputs[0] == outputs[1] != ""


def test_a_worker_finds_the_project_when_manage_py_is_called_from_elsewhere(
    project: Path, empty_dsn: str, empty_pg: psycopg.Connection
) -> None:
    own = {name: value for name, value in environment(empty_dsn).items() if name != "DJANGO_SETTINGS_MODULE"}
    with (project / "site1" / "settings.py").open("a") as settings:
        settings.write(python_of("settings.py"))
    (project / "shop" / "tasks.py").write_text(python_of("shop/tasks.py"))
    manage = [sys.executable, str(project / "manage.py")]
    enqueue = ["shell", "-c", python_of("anywhere")]
    for arguments in (["migrate"], enqueue, ["reproq", "worker", "--burst"]):
        ended = subprocess.run([*manage, *arguments], cwd="/", env=own, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    assert statuses(empty_pg) == {"SUCCESSFUL": 1}


def test_the_embedded_database_of_the_readme_is_a_valid_entry(tmp_path: Path) -> None:
    text = next(text for kind, text in blocks("Add it to your project") if "reproq_django.embedded" in text)
    names: dict[str, object] = {"BASE_DIR": tmp_path}
    exec(text, names)
    assert names["DATABASES"]["default"]["ENGINE"] == "reproq_django.embedded"  # type: ignore[index]
    assert not os.listdir(tmp_path), "nothing starts when settings are loaded"
