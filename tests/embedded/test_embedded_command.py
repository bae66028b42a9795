"""`reproq embedded status` and `stop`, for a folder and for a project's DATABASES."""

import json
import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from reproq_django.cli.embedded import embedded
from reproq_django.embedded.server import Server

from .conftest import NewServer

PROJECT = """
import sys
from django.conf import settings
from reproq_django.cli.embedded import embedded
from reproq_django.embedded import database
settings.configure(DATABASES={
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    "tasks": database(sys.argv[1]),
    "same": database(sys.argv[1], name="other"),
})
embedded(["status", "--json"])
"""


def test_status_shows_version_folder_process_socket_and_size(shared: Server) -> None:
    running = shared.status()
    assert running is not None
    result = CliRunner().invoke(embedded, ["status", str(shared.path)], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for text in (f"running, pid {running.pid}", "PostgreSQL 18", str(shared.path), str(running.socket_folder), "MB"):
        assert text in result.stdout


def test_status_as_json_has_one_object_a_server(shared: Server) -> None:
    running = shared.status()
    assert running is not None
    result = CliRunner().invoke(embedded, ["status", "--json", str(shared.path)])
    (report,) = json.loads(result.stdout)
    assert report["size_bytes"] > 10_000_000
    assert {key: report[key] for key in ("running", "ready", "pid", "version", "path", "socket")} == {
        "running": True,
        "ready": True,
        "pid": running.pid,
        "version": 18,
        "path": str(shared.path),
        "socket": str(running.socket_folder),
    }


def test_status_of_no_server_ends_with_4_and_makes_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(embedded, ["status", str(tmp_path / "db")])
    assert result.exit_code == 4
    assert "not running" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_stop_ends_the_server_once(new_server: NewServer) -> None:
    server = new_server()
    server.start()
    first = CliRunner().invoke(embedded, ["stop", str(server.path)])
    assert (first.exit_code, first.stdout) == (0, f"stopped: {server.path}\n")
    assert server.status() is None
    second = CliRunner().invoke(embedded, ["stop", "--json", str(server.path)])
    assert (second.exit_code, json.loads(second.stdout)) == (4, [{"path": str(server.path), "stopped": False}])


def test_without_a_path_the_servers_are_those_of_the_projects_databases(shared: Server) -> None:
    command = [sys.executable, "-c", PROJECT, shared.path]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert [report["path"] for report in json.loads(ended.stdout)] == [str(shared.path)]


def test_without_a_path_and_a_project_the_usage_error_says_what_to_give() -> None:
    code = "from reproq_django.cli.embedded import embedded; embedded(['status'])"
    outside = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=outside, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert "give the data folder as argument" in ended.stderr.replace("\n", " ")
