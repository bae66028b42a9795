"""`Server` starts and stops one PostgreSQL, of any version from 14, in a data folder and on a socket of its own.

It knows nothing of Django and opens no connection. The folder holds `data` (PGDATA), `log`, `lock` and nothing else.
Nothing happens before `start`; what `start` leaves running survives this process, until somebody calls `stop`.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, Self

from reproq.errors import ConfigurationError, DatabaseUnavailable

from . import sockets
from .binaries import major_version, wheel_binaries
from .launcher import USER, Launcher, log_tail
from .locks import exclusive
from .ownership import make_private, runner_for
from .processes import Postmaster, names_a_stranger, orphan, postmaster, server_processes

type StopMode = Literal["smart", "fast", "immediate"]
_SIGNALS: Final[Mapping[str, signal.Signals]] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
_OURS: Final = {"data", "new", "log", "log.1", "lock", ".gitignore"}
_POLL_SECONDS: Final = 0.02


class Server:
    """One PostgreSQL server in the folder `path`.

    `binaries` is the folder of `initdb`, `pg_ctl` and `postgres`; without it, those of the wheel for `version`.
    `settings` are server parameters in PostgreSQL's spelling, as `{"fsync": "off"}`; they hold for this start only.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        binaries: Path | None = None,
        version: int = 18,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(os.path.realpath(path))
        self.data = self.path / "data"
        self.log = self.path / "log"
        self._binaries = binaries
        self._version = version
        self._settings = dict(settings or {})

    def status(self) -> Postmaster | None:
        """The live server, or None. Costs two small reads, starts nothing."""
        try:
            return postmaster(self.data)
        except PermissionError as error:
            raise ConfigurationError(
                f"the data folder {self.path} is closed to this user ({error.strerror}); "
                "use a folder of your own, or run this as its owner"
            ) from error

    @property
    def socket_folder(self) -> Path:
        """Where the server listens, or will listen: libpq's `host`."""
        running = self.status()
        return running.socket_folder if running else sockets.socket_folder(self.path, self._owner())

    def version(self) -> int | None:
        """The major version of the data, or None before the first start."""
        try:
            return int((self.data / "PG_VERSION").read_text())
        except FileNotFoundError:
            return None

    def size_bytes(self) -> int:
        """What the data folder takes on the disk."""
        # A file may vanish while we look: the server is at work.
        folders = os.walk(self.path)
        return sum(_disk_bytes(os.path.join(folder, name)) for folder, _, names in folders for name in names)

    def conninfo(self, dbname: str = "postgres") -> str:
        """What libpq and psycopg connect with. Starts nothing."""
        parts = {"host": self.socket_folder, "port": sockets.PORT, "user": USER, "dbname": dbname}
        return " ".join(f"{key}={_quote(str(value))}" for key, value in parts.items())

    def start(self, *, timeout_seconds: float = 60) -> Postmaster:
        """Start the server unless it is running, and wait until it takes connections. Any number of callers at once.

        The first start makes the folder and its database cluster (UTF-8, locale C, time zone UTC). Raises
        ConfigurationError for what a person must mend and DatabaseUnavailable, with the end of the log, otherwise.
        """
        running = self.status()
        if running is None or not running.ready:
            self._check_folder()
            make_private(self.path)
            with exclusive(self.path / "lock", timeout_seconds=timeout_seconds) as lock:
                running = self._settled(timeout_seconds) or self._start(lock, timeout_seconds)
        self._check_socket(running)
        return running

    def stop(self, mode: StopMode = "fast", *, timeout_seconds: float = 60) -> bool:
        """End the server and remove its socket folder; False when there was none.

        `smart` waits for its clients to leave, `fast` rolls their transactions back, `immediate` is a crash that the
        next start recovers from. Returns once no process is left.
        """
        if self.status() is None and not self.data.exists():
            return self._end_orphan(self.socket_folder, timeout_seconds)
        with exclusive(self.path / "lock", timeout_seconds=timeout_seconds):
            running = self.status()
            if running is not None:
                os.kill(running.pid, _SIGNALS[mode])
                if not _wait(lambda: not server_processes(self.data), timeout_seconds):
                    raise DatabaseUnavailable(
                        f"the server of {self.path} (pid {running.pid}) is still running {timeout_seconds:g} s after "
                        f"a {mode} stop; close its clients, or stop it with mode {_harder(mode)}"
                    )
                sockets.remove(running.socket_folder, self._owner())
            elif not server_processes(self.data):
                sockets.remove(self.socket_folder, self._owner())
            return running is not None

    @contextmanager
    def running(self, *, mode: StopMode = "fast", timeout_seconds: float = 60) -> Iterator[Self]:
        """`with Server(folder).running() as server:` stops at the end what it started; the data folder stays."""
        was_running = self.status() is not None
        self.start(timeout_seconds=timeout_seconds)
        try:
            yield self
        finally:
            if not was_running:
                self.stop(mode, timeout_seconds=timeout_seconds)

    def _start(self, lock: int, timeout_seconds: float) -> Postmaster:
        """Under the lock, with no server running."""
        if not _wait(lambda: not server_processes(self.data), timeout_seconds):
            raise DatabaseUnavailable(
                f"processes of a killed server still work in {self.data}: pids {server_processes(self.data)}; end them"
            )
        binaries = self._binaries or wheel_binaries(self._version)
        self._check_version(binaries)
        runner = runner_for(self.path, binaries)
        launcher = Launcher(self.path, binaries, runner, self._settings, timeout_seconds, lock)
        launcher.tidy()
        if names_a_stranger(self.data):
            launcher.forget_pid()
        if not self.data.exists():
            launcher.initialise()
        folder = sockets.socket_folder(self.path, runner.uid)
        self._end_orphan(folder, timeout_seconds)
        sockets.claim(folder, runner.uid, runner.gid)
        try:
            launcher.launch(folder)
            started = self.status()
            if started is None:
                raise launcher.failed("it ended right after its start", log_tail(self.log))
        except DatabaseUnavailable:
            if self.status() is None:
                sockets.remove(folder, runner.uid)
            raise
        return started

    def _end_orphan(self, folder: Path, timeout_seconds: float) -> bool:
        """Somebody deleted the data folder under its server: end that before it takes a successor's socket away."""
        lock = folder / f".s.PGSQL.{sockets.PORT}.lock"
        pid = orphan(lock)
        if pid is None:
            return False
        sockets.check(folder, self._owner())
        os.kill(pid, signal.SIGQUIT)
        if not _wait(lambda: orphan(lock) is None, timeout_seconds):
            raise DatabaseUnavailable(f"a server whose data folder was deleted still runs (pid {pid}); end it")
        sockets.remove(folder, self._owner())
        return True

    def _settled(self, timeout_seconds: float) -> Postmaster | None:
        """The server once it is ready, or None once it is gone: its starter was killed, or it is just stopping."""

        def settled() -> bool:
            running = self.status()
            return running is None or running.ready

        if not _wait(settled, timeout_seconds):
            raise DatabaseUnavailable(
                f"the server of {self.path} has been starting or stopping for more than {timeout_seconds:g} s; "
                f"wait, or stop it with mode immediate. The end of its log:\n{log_tail(self.log)}"
            )
        return self.status()

    def _check_folder(self) -> None:
        """Before we close the folder to others: it must be one that is ours to close."""
        if self.path.exists() and not self.path.is_dir():
            raise ConfigurationError(f"{self.path} is a file; give the path of a folder for the database")
        strangers = sorted(set(os.listdir(self.path)) - _OURS) if self.path.exists() else []
        if strangers:
            raise ConfigurationError(
                f"{self.path} holds other things ({', '.join(strangers[:3])}); the database needs a folder of its own, "
                f"as in {self.path / 'postgres'}"
            )

    def _check_version(self, binaries: Path) -> None:
        held, given = self.version(), major_version(binaries)
        if held is not None and held != given:
            raise ConfigurationError(
                f"the data in {self.path} is of PostgreSQL {held}, the programs in {binaries} are of {given}; "
                f"use version {held}, or another data folder"
            )

    def _check_socket(self, running: Postmaster) -> None:
        try:
            sockets.check(running.socket_folder, self._owner())
        except FileNotFoundError as error:
            raise DatabaseUnavailable(
                f"the server of {self.path} is running (pid {running.pid}), but its socket folder "
                f"{running.socket_folder} was removed; stop the server and start it again"
            ) from error

    def _owner(self) -> int:
        try:
            return self.path.stat().st_uid
        except FileNotFoundError:
            return os.geteuid()


def _wait(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _disk_bytes(file: str) -> int:
    try:
        return os.lstat(file).st_blocks * 512
    except FileNotFoundError:
        return 0


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _harder(mode: StopMode) -> str:
    return {"smart": "fast"}.get(mode, "immediate")
