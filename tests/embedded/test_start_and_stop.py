"""Starting and stopping real servers: every version, any path, twice, at once, and after every kind of accident."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from reproq.errors import ConfigurationError, DatabaseUnavailable
from reproq_django.embedded.binaries import wheel_binaries
from reproq_django.embedded.databases import ensure_database
from reproq_django.embedded.processes import server_processes
from reproq_django.embedded.server import Server
from tests.acceptance.workers import wait_for

from .conftest import DEBIAN_15, NewServer

START = """
import sys
from pathlib import Path
from reproq_django.embedded.server import Server
path, *binaries = map(Path, sys.argv[1:])
print(Server(path, settings={"fsync": "off"}, **({"binaries": binaries[0]} if binaries else {})).start().pid)
"""
HELD_UP = """#!/bin/sh
mkdir new && touch new/begun
while [ ! -e {gate} ]; do sleep 0.02; done
rm -r new
exec {initdb} "$@"
"""


def ask(server: Server, query: str) -> object:
    with psycopg.connect(server.conninfo()) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def start_elsewhere(*arguments: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", START, *arguments], stdout=subprocess.PIPE, text=True)


def programs_held_up_at(gate: Path, folder: Path) -> Path:
    """A folder of the wheel's programs whose initdb waits until somebody has made the file `gate`."""
    folder.mkdir()
    for program in (programs := wheel_binaries(18)).iterdir():
        if program.name != "initdb":
            (folder / program.name).symlink_to(program)
    (folder / "initdb").write_text(HELD_UP.format(gate=shlex.quote(str(gate)), initdb=programs / "initdb"))
    (folder / "initdb").chmod(0o755)
    return folder


def delete(folder: Path) -> None:
    """With all that is in it, whatever a server that runs there puts into it meanwhile."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("major", "options"),
    [
        pytest.param(18, {"version": 18}, id="wheel-18"),
        pytest.param(16, {"version": 16}, id="wheel-16"),
        pytest.param(
            15,
            {"binaries": DEBIAN_15},
            id="debian-15",
            marks=pytest.mark.skipif(not DEBIAN_15.exists(), reason="no PostgreSQL 15 from Debian on this machine"),
        ),
    ],
)
def test_every_version_starts_answers_and_stops_the_same_way(new_server: NewServer, major: int, options: dict) -> None:
    server = new_server(**options)
    assert server.status() is None
    running = server.start()
    socket_folder = server.socket_folder
    assert int(str(ask(server, "SHOW server_version_num"))) // 10000 == server.version() == major
    assert ask(server, "SHOW server_encoding") == "UTF8"
    assert ask(server, "SHOW timezone") == "UTC"
    assert ask(server, "SHOW listen_addresses") == ""
    assert ask(server, "SHOW fsync") == "off"
    assert ask(server, "SELECT 'B' < 'a'") is True
    assert running == server.status()
    assert server.stop() is True
    assert server.status() is None
    assert server_processes(server.data) == []
    assert not socket_folder.exists()
    assert server.stop() is False


def test_a_server_is_durable_unless_told_otherwise(tmp_path: Path) -> None:
    with Server(tmp_path / "db").running(mode="immediate") as server:
        assert ask(server, "SHOW fsync") == "on"
        assert ask(server, "SHOW synchronous_commit") == "on"


def test_the_path_may_be_long_and_hold_spaces_quotes_and_dollars(new_server: NewServer, tmp_path: Path) -> None:
    path = tmp_path / 'a folder of $HOME `x` "it\'s"' / ("long" * 30) / "db"
    server = new_server(path)
    server.start()
    assert len(str(path)) > 120
    assert ask(server, "SHOW data_directory") == str(path / "data")
    assert len(os.fsencode(server.socket_folder / ".s.PGSQL.5432.lock")) <= 107


def test_a_second_start_finds_the_first_server(shared: Server) -> None:
    assert Server(shared.path).start() == shared.status()


def test_a_link_to_the_data_folder_leads_to_the_same_server(shared: Server, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(shared.path)
    assert Server(tmp_path / "link").start() == shared.status()


def test_two_servers_run_side_by_side(shared: Server, new_server: NewServer) -> None:
    other = new_server()
    other.start()
    assert other.socket_folder != shared.socket_folder
    assert ask(other, "SHOW data_directory") != ask(shared, "SHOW data_directory")


def test_starters_at_once_start_one_server(new_server: NewServer) -> None:
    server = new_server()
    starters = [start_elsewhere(server.path) for _ in range(3)]
    pids = {starter.communicate(timeout=60)[0].strip() for starter in starters}
    running = server.status()
    assert running is not None
    assert pids == {str(running.pid)}


def test_the_server_outlives_its_starter_and_its_terminal(new_server: NewServer) -> None:
    server = new_server()
    start_elsewhere(server.path).communicate(timeout=60)
    running = server.status()
    assert running is not None
    assert running.ready
    assert os.getsid(running.pid) == running.pid
    assert ask(server, "SELECT 1") == 1


def test_the_server_does_not_keep_the_environment_of_its_starter(
    new_server: NewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "tomato")
    monkeypatch.setenv("PGOPTIONS", "--nonsense")
    running = new_server().start()
    assert b"tomato" not in Path(f"/proc/{running.pid}/environ").read_bytes()


def test_a_server_killed_with_9_starts_again_with_its_data(new_server: NewServer) -> None:
    server = new_server()
    first = server.start()
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        connection.execute("CHECKPOINT")
        os.kill(first.pid, signal.SIGKILL)
        while server.status():
            time.sleep(0.001)  # the signal is on its way
        second = server.start()
    assert second.pid != first.pid
    assert ask(server, "SELECT answer FROM kept") == 42


def test_a_stale_pid_that_another_program_has_by_now_does_not_hinder(new_server: NewServer) -> None:
    server = new_server()
    server.start()
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert server.status() is None
    assert server.stop() is False
    assert server.start().pid != os.getpid()


def test_a_first_start_that_was_killed_in_its_middle_is_begun_anew(new_server: NewServer, open_folder: Path) -> None:
    server, gate = new_server(), open_folder / "gate"
    starter = start_elsewhere(server.path, programs_held_up_at(gate, open_folder / "programs"))
    wait_for("initdb to begin", (server.path / "new" / "begun").exists)
    starter.kill()
    starter.communicate()
    assert not server.data.exists()
    # Its initdb still runs; it holds the lock, so we wait for its end instead of working in one folder with it.
    with pytest.raises(DatabaseUnavailable, match="another process has been starting or stopping the server"):
        server.start(timeout_seconds=0.1)
    gate.touch()
    server.start()
    assert ask(server, "SELECT 1") == 1
    assert not (server.path / "new").exists()


def test_half_a_database_left_by_a_power_cut_is_begun_anew(new_server: NewServer) -> None:
    server = new_server()
    (server.path / "new" / "base").mkdir(parents=True)
    (server.path / "new" / "PG_VERSION").write_text("18\n")
    server.start()
    assert ask(server, "SELECT 1") == 1


def test_a_data_folder_deleted_under_its_server_is_begun_anew_at_once(new_server: NewServer) -> None:
    server = new_server()
    first = server.start()
    delete(server.path)
    second = server.start()
    # Left alone, the first server would notice within a minute, and take the socket of the second away with it.
    assert not Path(f"/proc/{first.pid}/cwd").exists()
    assert second.pid != first.pid
    assert ask(server, "SELECT 1") == 1


def test_stop_ends_a_server_whose_data_folder_was_deleted(new_server: NewServer) -> None:
    server = new_server()
    first = server.start()
    socket_folder = server.socket_folder
    delete(server.path)
    assert server.stop() is True
    assert not Path(f"/proc/{first.pid}/cwd").exists()
    assert not socket_folder.exists()
    assert server.stop() is False


def test_running_stops_what_it_started_and_leaves_what_it_found(shared: Server, tmp_path: Path) -> None:
    found = shared.status()
    with Server(shared.path).running():
        pass
    assert shared.status() == found
    with Server(tmp_path / "db", settings={"fsync": "off"}).running(mode="immediate") as server:
        assert ask(server, "SELECT 1") == 1
    assert server_processes(server.data) == []


def test_a_smart_stop_that_a_client_holds_up_says_what_to_do(new_server: NewServer) -> None:
    server = new_server()
    server.start()
    with psycopg.connect(server.conninfo()), pytest.raises(DatabaseUnavailable, match="stop it with mode fast"):
        server.stop("smart", timeout_seconds=0.2)


def test_a_server_that_does_not_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    server = Server(tmp_path / "db", settings={"fsync": "off", "shared_buffers": "many"})
    with pytest.raises(DatabaseUnavailable, match='invalid value for parameter "shared_buffers": "many"'):
        server.start()
    assert not server.socket_folder.exists()


def test_data_of_another_version_is_refused(shared: Server, new_server: NewServer) -> None:
    shared.stop()
    try:
        with pytest.raises(ConfigurationError, match=r"is of PostgreSQL 18, the programs .* of 16; use version 18"):
            Server(shared.path, version=16).start()
    finally:
        shared.start()


def test_a_database_is_made_once_whatever_its_name(shared: Server) -> None:
    for name in ('it\'s a "name"', "é"):
        ensure_database(shared, name)
        ensure_database(Server(shared.path), name)
        with psycopg.connect(shared.conninfo(name)) as connection:
            assert connection.info.dbname == name
