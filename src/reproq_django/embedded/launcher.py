"""Runs PostgreSQL's own programs to make a database cluster and to start its server, as the folder's owner.

Refuses to decide anything: that nobody else is at it, that no server runs and which runner may, `Server` has settled
before. Everything in the folder is written by the runner, so that root never writes into a folder that an ordinary user
can rearrange, and paths are relative to it: `pg_ctl` puts them unescaped into a shell command.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reproq.errors import DatabaseUnavailable

from .binaries import major_version
from .ownership import Runner
from .sockets import PORT

USER: Final = "postgres"
"""The database role that owns everything; a name inside the server, whoever runs it."""

_TIDY: Final = "rm -rf new && { [ ! -f log ] || mv -f log log.1; } && echo '*' > .gitignore"
_PUBLISH: Final = "echo 'local all all trust' > new/pg_hba.conf && mv new data"


@dataclass(frozen=True, slots=True)
class Launcher:
    """The programs in `binaries`, run by `runner` in the folder `path`, each for `timeout_seconds` at most."""

    path: Path
    binaries: Path
    runner: Runner
    settings: Mapping[str, str]
    timeout_seconds: float
    lock: int
    """Descriptor of the lock, held on by `initdb` when its starter is killed: nobody meddles with its folder."""

    def tidy(self) -> None:
        """Remove what an interrupted first start left, and begin a new log."""
        self._run("tidying up", ["/bin/sh", "-c", _TIDY])

    def forget_pid(self) -> None:
        """Remove a `postmaster.pid` whose number is a stranger's by now: PostgreSQL would take him for a server."""
        self._run("removing a stale postmaster.pid", ["/bin/rm", "-f", "data/postmaster.pid"])

    def initialise(self) -> None:
        """Into a sibling, then renamed: a `data` folder that exists is a whole one, whenever we were interrupted."""
        command: list[str | Path] = [self.binaries / "initdb", "-D", "new", "-U", USER, "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C", "--no-instructions"]
        if major_version(self.binaries) >= 17:
            # C.UTF-8 sorts like C, and knows upper from lower case beyond ASCII (`icontains`).
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if self.settings.get("fsync") == "off":
            command += ["--no-sync"]
        self._run("initdb", command)
        self._run("putting the new database in place", ["/bin/sh", "-c", _PUBLISH])

    def launch(self, socket_folder: Path) -> None:
        """Start the server and wait until it takes connections."""
        pinned = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{socket_folder}"',
            "unix_socket_permissions": "0700",
        }
        settings = {"timezone": "UTC", "log_timezone": "UTC"} | dict(self.settings) | pinned
        options = " ".join(shlex.join(["-c", f"{name}={value}"]) for name, value in settings.items())
        command: list[str | Path] = [self.binaries / "pg_ctl", "start", "-D", "data", "-l", "log", "-o", options]
        command += ["-s", "-w", "-t", str(max(1, round(self.timeout_seconds)))]
        # pg_ctl gives up by itself, with a better message than ours.
        code, output = self.runner.run(command, cwd=self.path, timeout_seconds=self.timeout_seconds + 10)
        if code != 0:
            raise self.failed(output or f"pg_ctl ended with exit code {code}", log_tail(self.path / "log"))

    def failed(self, what: str, detail: str) -> DatabaseUnavailable:
        """The error that says which server did not start, why, and what its programs said."""
        return DatabaseUnavailable(f"the PostgreSQL of {self.path} did not start: {what}\n{detail}".rstrip())

    def _run(self, what: str, command: Sequence[str | Path]) -> None:
        code, output = self.runner.run(
            command, cwd=self.path, timeout_seconds=self.timeout_seconds, keep_open=(self.lock,)
        )
        if code != 0:
            raise self.failed(f"{what} ended with exit code {code}, as {self.runner.describe()}", output)


def log_tail(log: Path, lines: int = 15) -> str:
    """The end of a server's log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"
