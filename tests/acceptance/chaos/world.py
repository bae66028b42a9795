"""The world of one round: a server, a proxy for each worker and producer, and the processes. It starts, watches and
ends them; it knows no schedule and judges nothing."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg

from reproq_django.embedded.server import Server
from tests.acceptance.chaos.ledger import TICK
from tests.acceptance.chaos.plan import LEASE_SECONDS, STEADY
from tests.acceptance.chaos.record import RECORD
from tests.acceptance.workers import ROOT, environment
from tests.plugins.databases import binaries, prepare, version
from tests.store.proxy import Proxy

DURABLE = {"fsync": "on", "full_page_writes": "on", "max_connections": "200"}
TIMES = ("--lease", f"{LEASE_SECONDS:g}s", "--heartbeat", "500ms", "--poll-interval", "500ms", "--kill-grace", "500ms")
KINDS = (
    ("--executor", "fork", "--concurrency", "2", "--queues", "*"),
    ("--executor", "fork", "--concurrency", "2"),
    ("--executor", "pool", "--concurrency", "2"),
    ("--executor", "spawn", "--concurrency", "1", "--queues", "cold"),
)
"""The workers, each with the way in which it executes."""
SCHEDULE = (
    "INSERT INTO periodic_tasks (name, cron_expr, task_path, args) VALUES"
    f" ('each second', '* * * * * *', 'tests.acceptance.chaos.tasks.work', '[\"{TICK}\", 0.0]')"
)
END_SECONDS = 30.0
MARKER = "CHAOS_ROUND"


@dataclass(slots=True)
class Worker:
    """One place for a worker; who stands there changes. `kilobytes` is what the present one has taken, since when."""

    proxy: Proxy
    process: "subprocess.Popen[bytes] | None" = None
    kilobytes: list[int] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    """Exit codes of workers that ended and had not been told to."""


class World:
    """Everything that a round has started."""

    def __init__(self, folder: Path, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        """`settings`: of the server, beside those that make it keep what it has acknowledged."""
        self.folder = folder
        given = DURABLE | settings
        self.server = Server(folder / "server", binaries=binaries(), version=version(), settings=given)
        self.dsn = ""
        self.workers: list[Worker] = []
        self.doors: list[Proxy] = []
        """The producers' proxies."""
        self._producers: list[subprocess.Popen[bytes]] = []
        self._leaving: list[subprocess.Popen[bytes]] = []
        self._marker = uuid.uuid4().hex

    # -- starting and ending ------------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator["World"]:
        """The server with its database, nothing else; all that was started is gone afterwards."""
        self.server.start()
        try:
            self.dsn = prepare(self.server.conninfo())
            with self.ask() as cursor:
                cursor.execute(RECORD)
            yield self
        finally:
            self._clear_away()
            self.server.stop("immediate")

    def open_workers(self, kinds: int = len(KINDS), *arguments: str) -> None:
        """Start so many workers, each behind a proxy of its own."""
        for number in range(kinds):
            self.workers.append(Worker(self._proxy()))
            self.start_worker(number, *arguments)

    def start_worker(self, number: int, *arguments: str) -> None:
        """Somebody takes the place."""
        worker = self.workers[number]
        command = [sys.executable, "-m", "reproq", "worker", *TIMES, *KINDS[number], *arguments]
        worker.kilobytes = []
        worker.process = self._start(command, worker.proxy.dsn, f"worker-{number}.log")

    def start_producer(self, name: str, seed: int, rate: float) -> None:
        """Somebody enqueues so many runs a second."""
        self.doors.append(self._proxy())
        command = [sys.executable, "-m", "tests.acceptance.chaos.producer", name, str(seed), str(rate)]
        self._producers.append(self._start(command, self.doors[-1].dsn, f"producer-{name}.log"))

    def leave(self, process: "subprocess.Popen[bytes]") -> None:
        """A worker that was told to end, and is replaced."""
        self._leaving.append(process)

    def start_schedule(self) -> None:
        """A tick each second, fired by whichever worker comes first."""
        with self.ask() as cursor:
            cursor.execute(SCHEDULE)

    def stop_schedule(self) -> None:
        """No more ticks."""
        with self.ask() as cursor:
            cursor.execute("UPDATE periodic_tasks SET enabled = false")

    def stop_producers(self) -> list[int]:
        """Have them end their call and go; their exit codes."""
        for process in self._producers:
            process.send_signal(signal.SIGTERM)
        return [_ended(process) for process in self._producers]

    def stop_workers(self) -> list[int]:
        """Have them drain and go; their exit codes."""
        for worker in self.workers:
            if worker.process is not None:
                worker.process.send_signal(signal.SIGTERM)
        ending = [worker.process for worker in self.workers if worker.process is not None]
        return [_ended(process) for process in [*self._leaving, *ending]]

    def _start(self, command: list[str], dsn: str, log: str) -> "subprocess.Popen[bytes]":
        more = {"CHAOS_FOLDER": str(self.folder), MARKER: self._marker, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        with (self.folder / log).open("ab") as output:
            return subprocess.Popen(
                command, env=environment(dsn, **more), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def _proxy(self) -> Proxy:
        proxy = Proxy(self.dsn)
        proxy.listen()
        return proxy

    def _clear_away(self) -> None:
        for process in [*self._producers, *self._leaving, *(worker.process for worker in self.workers)]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        for proxy in self.proxies():
            proxy.close()

    # -- looking ------------------------------------------------------------------------------------------------------

    def proxies(self) -> list[Proxy]:
        """All of them."""
        return [*(worker.proxy for worker in self.workers), *self.doors]

    @contextmanager
    def ask(self) -> Iterator[psycopg.Cursor[Any]]:
        """A cursor of the round itself, past every proxy. Raises psycopg.OperationalError while the server is away."""
        with psycopg.connect(self.dsn, autocommit=True, application_name="chaos", connect_timeout=5) as connection:
            yield connection.cursor()

    def one(self, query: str, *values: object) -> Any:
        """The first column of the first row; None where there is none, or no server."""
        with suppress(psycopg.OperationalError), self.ask() as cursor:
            row = cursor.execute(query, values).fetchone()
            return row and row[0]
        return None

    def look_after_workers(self) -> None:
        """Note what each holds, and replace those that have ended by themselves: that is a fault of the product."""
        for number, worker in enumerate(self.workers):
            if worker.process is not None and worker.process.poll() is not None:
                worker.exits.append(worker.process.returncode)
                self.start_worker(number)
            elif worker.process is not None and (taken := _kilobytes(worker.process.pid)):
                worker.kilobytes.append(taken)

    def left_processes(self) -> list[int]:
        """Every process that descends from what this round has started, however it left its parents."""
        wanted = f"{MARKER}={self._marker}".encode()
        return [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if wanted in _environment(pid)]

    def steady_growth_kilobytes(self) -> int:
        """How much more memory the worker that is never replaced takes at the end than when it had settled."""
        taken = self.workers[STEADY].kilobytes
        settled = taken[len(taken) // 4 :]
        return settled[-1] - settled[0] if settled else 0


def _ended(process: "subprocess.Popen[bytes]") -> int:
    """The exit code of what was told to end."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(END_SECONDS)
    process.kill()
    return process.wait()


def _kilobytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def wait_until(seconds: float, condition: Any) -> bool:
    """Whether it came true within so long."""
    deadline_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True
