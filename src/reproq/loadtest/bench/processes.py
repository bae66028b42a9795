"""The programs that a bench starts: real workers as a person starts them, and PostgreSQL's own pgbench and pg_waldump.

Nothing of them outlives the block or the call that started it, and workers do not outlive the bench, however it ends.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

from psycopg import conninfo, pq, sql

from reproq.config import KNOBS
from reproq.loadtest.bench.place import BenchFailed, Place, ask

END_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 0.02
PGBENCH_SECONDS: Final = 3
CLIENTS: Final = 2
_TPS: Final = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_ENTRIES: Final = re.compile(r"^Btree/(?:INSERT_LEAF|INSERT_POST|SPLIT_[LR])\s+(\d+)", re.MULTILINE)


class WorkerProcess:
    """A started worker."""

    def __init__(self, popen: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
        self.pid = popen.pid
        self._popen = popen
        self._log = log

    def check(self) -> None:
        """Raise BenchFailed, with the end of its log, if it has ended by itself."""
        if (code := self._popen.poll()) is not None:
            raise BenchFailed(f"a worker ended by itself with exit code {code}; its last words:\n{self._last_lines()}")

    def end(self) -> None:
        """TERM, and KILL for one that does not end; returns when it is gone."""
        self._popen.terminate()
        try:
            self._popen.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _last_lines(self) -> str:
        self._log.seek(0)
        return "\n".join(self._log.read().decode("utf-8", "replace").splitlines()[-5:])


@contextmanager
def workers(
    place: Place, count: int, executor: str, concurrency: int | None, queue: str
) -> Iterator[list[WorkerProcess]]:
    """So many workers that wait for runs in this queue; ended when the block ends, however that is."""
    with ExitStack() as stack:
        started = []
        for number in range(count):
            log = stack.enter_context(tempfile.TemporaryFile())
            flags = _worker_flags(place, f"{place.queue}-{number}", executor, concurrency, queue)
            started.append(WorkerProcess(_start(flags, place.config.dsn, log), log))
            stack.callback(started[-1].end)
        _wait_until_idle(place, started, queue)
        yield started


def _worker_flags(place: Place, worker_id: str, executor: str, concurrency: int | None, queue: str) -> list[str]:
    flags = ["--worker-id", worker_id, "--backend", place.config.backend, "--queues", queue, "--any-queue"]
    flags += ["--executor", executor, "--exec-sleep", "0s", "--listen", "auto"]
    flags += ["--retention", "off", "--no-beat"]  # other runs are left alone, however old, and schedules are not fired
    return flags if concurrency is None else [*flags, "--concurrency", str(concurrency)]


def _start(flags: Sequence[str], dsn: str, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """In a session of its own, so that Ctrl-C reaches the bench alone; the address travels in the environment."""
    ours = {name for knob in KNOBS.values() for name in knob.environment}
    environment = {name: value for name, value in os.environ.items() if name not in ours} | {"REPROQ_DSN": dsn}
    command = [sys.executable, "-m", "reproq.loadtest.bench.tied", str(os.getpid()), "worker", *flags]
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,
    )


def _wait_until_idle(place: Place, started: Sequence[WorkerProcess], queue: str) -> None:
    """A worker says that it waits once its template has imported the project and a claim has found nothing."""
    deadline = time.monotonic() + IDLE_SECONDS
    while ask(place.database, "idle_workers", {"prefix": place.queue, "queue": queue}) != [(len(started),)]:
        place.go_on()
        for worker in started:
            worker.check()
        if time.monotonic() > deadline:
            raise BenchFailed(
                f"{len(started)} workers were started, and do not all wait to be woken after {IDLE_SECONDS:g} s; "
                "LISTEN must work at the address (`reproq doctor` tells): give one without a pooler by --dsn"
            )
        time.sleep(LOOK_SECONDS)


def program_of(name: str, folder: Path | None) -> Path | None:
    """A program of PostgreSQL: beside the server that runs here, else on the PATH, else in Debian's newest folder."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    on_path = shutil.which(name)
    near = [folder / name] if folder else []
    found = [*near, *([Path(on_path)] if on_path else []), *(one / name for one in reversed(debian))]
    return next((path for path in found if os.access(path, os.X_OK)), None)


def pgbench(place: Place, program: Path) -> float:
    """Commits a second of `pgbench -N`, two clients, in a schema of its own. Raises BenchFailed with its own words."""
    schema = sql.Identifier(f"{place.queue}-pgbench")
    options = f"-c search_path={place.queue}-pgbench"
    environment = os.environ | _libpq_environment(place.config.dsn) | {"PGOPTIONS": options}
    connection = place.database.connected()
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    try:
        _run(place, [program, "--initialize", "--quiet", "--scale=1"], environment)
        clients = [f"--client={CLIENTS}", f"--jobs={CLIENTS}", f"--time={PGBENCH_SECONDS}"]
        said = _run(place, [program, "-N", "--no-vacuum", *clients], environment)
    finally:
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))
    if (found := _TPS.search(said)) is None:
        raise BenchFailed(f"pgbench names no tps: {said.strip()[-300:]}")
    return float(found[1])


def _libpq_environment(dsn: str) -> dict[str, str]:
    """An address as libpq's variables: a password has no place on a command line."""
    variables = {one.keyword.decode(): one.envvar.decode() for one in pq.Conninfo.get_defaults() if one.envvar}
    given: Mapping[str, Any] = conninfo.conninfo_to_dict(dsn)
    return {variables[name]: str(value) for name, value in given.items() if name in variables}


def _run(place: Place, command: Sequence[str | Path], environment: Mapping[str, str]) -> str:
    """What a program says on stdout. It is killed when a signal stops the bench."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                place.go_on()
                time.sleep(LOOK_SECONDS)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        text = said.read()
    if process.returncode != 0:
        raise BenchFailed(f"{Path(command[0]).name} ended with exit code {process.returncode}: {text.strip()[-300:]}")
    return text


def index_entries(program: Path, data_folder: Path, began: str, ended: str) -> int | None:
    """The entries that indexes were given between two places of the log, by PostgreSQL's own reader of it; None where
    that part of the log is gone. A split of a page inserts an entry, too."""
    folder = str(data_folder / "pg_wal")
    command = [str(program), "--rmgr=Btree", "--stats=record", f"--start={began}", f"--end={ended}", "--path", folder]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    counts = [int(count) for count in _ENTRIES.findall(shown.stdout)]
    return sum(counts) if counts else None
