"""A real PgBouncer in transaction mode before the tests' server, where `REPROQ_TEST_POOLER=pgbouncer` asks for one.

Every test's address then leads through it; databases are made and dropped on the server itself.
"""

import os
import shutil
import signal
import time
from pathlib import Path

import psycopg
from psycopg import conninfo

from reproq_django.embedded.ownership import runner_for

VARIABLE = "REPROQ_TEST_POOLER"
PORT = 6432
START_SECONDS = 60.0
CONFIGURATION = """
[databases]
* = host={host} port={port}
[pgbouncer]
pool_mode = transaction
unix_socket_dir = {folder}
listen_port = {pooler_port}
auth_type = trust
auth_file = {folder}/users
max_client_conn = 500
default_pool_size = 40
server_idle_timeout = 5
logfile = {folder}/log
pidfile = {folder}/pid
"""


def wanted() -> bool:
    """Whether the tests go through a pooler."""
    name = os.environ.get(VARIABLE, "")
    if name not in ("", "pgbouncer"):
        raise ValueError(f"{VARIABLE}={name}: the only pooler is pgbouncer; leave it empty for none")
    return bool(name)


def program() -> str:
    """The path of PgBouncer, which Debian keeps out of an ordinary user's PATH."""
    found = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        raise FileNotFoundError("pgbouncer is not installed: apt-get install pgbouncer")
    return found


def start(folder: Path, dsn: str, binaries: Path) -> str:
    """Start PgBouncer before the server at `dsn`, in a new folder; returns the address that leads through it.

    `binaries` are the programs of that server, which whoever runs PgBouncer can run, too.
    """
    parts = conninfo.conninfo_to_dict(dsn)
    folder.mkdir()
    (folder / "users").write_text(f'"{parts["user"]}" ""\n', "utf-8")
    values = {"folder": folder, "pooler_port": PORT, "host": parts["host"], "port": parts["port"]}
    (folder / "pgbouncer.ini").write_text(CONFIGURATION.format(**values), "utf-8")
    command = [program(), "--daemon", "--quiet", str(folder / "pgbouncer.ini")]
    runner = runner_for(folder, binaries)  # as the server: neither would run as root
    code, said = runner.run(command, cwd=folder, timeout_seconds=START_SECONDS)
    assert code == 0, said
    address = conninfo.make_conninfo(dsn, host=str(folder), port=PORT)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(address).close()
            return address
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def stop(folder: Path) -> None:
    """End the PgBouncer of this folder, if there is one."""
    if (folder / "pid").exists():
        os.kill(int((folder / "pid").read_text()), signal.SIGKILL)  # a shell's & has QUIT ignored
