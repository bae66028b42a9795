"""Root, an ordinary user after root, root in a user's home, namespaces refused: PostgreSQL runs, owners stay owners."""

import os
import pwd
import subprocess
from pathlib import Path

import psycopg
import pytest

from reproq.errors import ConfigurationError
from reproq_django.embedded import ownership
from reproq_django.embedded.binaries import wheel_binaries
from reproq_django.embedded.ownership import Runner
from reproq_django.embedded.processes import server_processes
from reproq_django.embedded.server import Server
from tests.plugins.ordinary_user import open_to_all

from .conftest import FAST, NewServer

pytestmark = pytest.mark.usefixtures("as_root")

SERVE = """
import sys, psycopg
from reproq_django.embedded.server import Server
server = Server(sys.argv[1], settings={"fsync": "off"})
pid = server.start().pid
with psycopg.connect(server.conninfo()) as connection:
    assert connection.execute("SELECT 1").fetchone() == (1,)
print(pid, server.socket_folder)
"""
LOOK = """
import sys
from reproq_django.embedded.server import Server
Server(sys.argv[1]).start()
"""


def others() -> list[pwd.struct_passwd]:
    """Users of the machine that are neither root nor those that we would fall back to."""
    return [user for user in pwd.getpwall() if user.pw_uid and user.pw_name not in ("postgres", "nobody")]


@pytest.fixture
def reachable_wheel() -> None:
    if not open_to_all(wheel_binaries(18)):
        pytest.skip("the wheel lies where only root can reach it")


def run_as(uid: int, user_python: tuple[list[str], dict[str, str]], code: str, path: Path) -> tuple[int, str, str]:
    command, environment = user_python
    ended = subprocess.run(
        [*command, code, path],
        env=environment,
        cwd="/",
        user=uid,
        group=uid,
        extra_groups=(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


def owner_of(path: Path) -> int | None:
    """None if it is gone: the server is at work."""
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return None


def test_roots_server_is_no_root_inside_and_its_files_stay_roots_outside(shared: Server) -> None:
    with psycopg.connect(shared.conninfo(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS whoami")
        connection.execute("CREATE TABLE whoami (name text)")
        connection.execute("COPY whoami FROM PROGRAM 'id -un'")
        row = connection.execute("SELECT name FROM whoami").fetchone()
    assert row == ("nobody",)
    owners = {owner_of(Path(folder, name)) for folder, _, names in os.walk(shared.path) for name in names}
    assert owners - {None} == {0}


def test_the_server_of_root_has_none_of_roots_capabilities(shared: Server) -> None:
    running = shared.status()
    assert running is not None
    assert "CapEff:\t0000000000000000" in Path(f"/proc/{running.pid}/status").read_text()


def test_an_ordinary_user_serves_beside_root(
    shared: Server, open_folder: Path, user_python: tuple[list[str], dict[str, str]]
) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, nobody, nobody)
    code, output, errors = run_as(nobody, user_python, SERVE, home / "db")
    assert code == 0, errors
    pid, socket_folder = output.split()
    server = Server(home / "db")
    try:
        assert Path(f"/proc/{pid}").stat().st_uid == nobody
        assert Path(socket_folder).stat().st_uid == server.path.stat().st_uid == nobody
        # Root meets the same server, does not start its own.
        assert server.start().pid == int(pid)
        with psycopg.connect(server.conninfo()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert server.stop()
        assert server.start().pid != int(pid)
        assert {entry.stat().st_uid for entry in server.path.iterdir()} == {nobody}
    finally:
        server.stop("immediate")
    # What root started there is the user's as before.
    code, _, errors = run_as(nobody, user_python, SERVE, home / "db")
    assert server.stop("immediate"), errors
    assert server_processes(server.data) == []


def test_another_users_data_folder_is_refused_with_the_reason(
    open_folder: Path, user_python: tuple[list[str], dict[str, str]]
) -> None:
    (open_folder / "db" / "data").mkdir(parents=True)
    (open_folder / "db").chmod(0o700)
    code, _, errors = run_as(pwd.getpwnam("nobody").pw_uid, user_python, LOOK, open_folder / "db")
    assert code == 1
    assert "is closed to this user (Permission denied); use a folder of your own" in errors


def test_a_user_without_a_name_is_served_too(open_folder: Path, user_python: tuple[list[str], dict[str, str]]) -> None:
    """As in a container that was started with --user 54321: initdb refuses a user whom it cannot look up."""
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, 54321, 54321)
    code, output, errors = run_as(54321, user_python, SERVE, home / "db")
    assert code == 0, errors
    assert Path(f"/proc/{output.split()[0]}").stat().st_uid == 54321
    assert Server(home / "db").stop("immediate")


@pytest.mark.usefixtures("reachable_wheel")
def test_in_the_closed_home_of_a_user_root_runs_it_as_that_user(new_server: NewServer, open_folder: Path) -> None:
    user = others()[0]
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, user.pw_uid, user.pw_gid)
    server = new_server(home / "project" / "db")
    running = server.start()
    assert Path(f"/proc/{running.pid}").stat().st_uid == user.pw_uid
    assert [folder.stat().st_uid for folder in (server.path, server.path.parent)] == [user.pw_uid] * 2
    assert server.path.parent.stat().st_mode & 0o777 == 0o755
    assert (home.stat().st_mode & 0o777, home.stat().st_uid) == (0o700, user.pw_uid)
    with psycopg.connect(server.conninfo()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def without_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Runner(0, 0, prefix=("/bin/sh", "-c", "echo no user namespace; exit 125"))
    monkeypatch.setattr(ownership, "_in_namespace", lambda: refused)


@pytest.mark.usefixtures("reachable_wheel")
def test_where_namespaces_are_refused_an_unprivileged_user_takes_the_folder_over(
    new_server: NewServer, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = new_server(open_folder / "db")
    server.start()
    with psycopg.connect(server.conninfo()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    assert server.path.stat().st_uid == 0
    without_namespaces(monkeypatch)
    running = server.start()
    uid = Path(f"/proc/{running.pid}").stat().st_uid
    assert pwd.getpwuid(uid).pw_name in ("postgres", "nobody")
    with psycopg.connect(server.conninfo()) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert server.socket_folder.stat().st_uid == server.path.stat().st_uid == uid
    assert open_folder.stat().st_uid == 0


def test_where_nobody_can_run_it_the_error_names_every_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_namespaces(monkeypatch)
    (tmp_path / "closed").mkdir(mode=0o700)
    with pytest.raises(ConfigurationError) as caught:
        Server(tmp_path / "closed" / "db", settings=FAST).start()
    text = str(caught.value)
    assert "as user root in a user namespace: no user namespace" in text
    assert "as user nobody: " in text
    assert "move the data folder" in text
