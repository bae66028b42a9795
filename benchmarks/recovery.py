"""How soon everything is right again: after kill -9, an outage of the database, a cancel, a drain.

    python benchmarks/recovery.py [--rounds 3] [--only cancel]

Real workers on an embedded PostgreSQL 18 in a temporary folder. Each figure is taken on an empty table by workers that
have just started; the table shows medians and the worst. docs/reliability.md shows a table of a quiet machine.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from reproq_django.embedded.server import Server

SETTINGS = "reproq_django.quickstart.settings"
SHORT = ("--lease", "4s", "--heartbeat", "1s")
GRACE = ("--kill-grace", "500ms")
PATIENCE_SECONDS = 90.0


@dataclass(slots=True)
class Bench:
    """One server, one database, and a folder in which every execution of a task leaves a file."""

    server: Server
    dsn: str
    folder: Path

    def one(self, query: str, *values: object) -> Any:
        """The first column of the first row."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(query, values).fetchone()
            return row and row[0]

    def enqueue(self, task: str, seconds: float, times: int = 1) -> None:
        """Empty the tables and the folder, then enqueue."""
        for file in self.executions():
            file.unlink()
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("TRUNCATE task_runs, reproq_workers")
            connection.execute(
                "INSERT INTO task_runs (task_path, args, backoff_seconds)"
                " SELECT %s, json_build_array(%s::text, %s::float8), '{0}' FROM generate_series(1, %s)",
                [f"recovery_tasks.{task}", str(self.folder), seconds, times],
            )

    def executions(self) -> list[Path]:
        """One file for each time that a task's body began."""
        return list(self.folder.iterdir())

    def children(self) -> list[int]:
        """The processes that executed something."""
        return [int(file.name.partition("-")[2]) for file in self.executions()]

    def ended(self, status: str, times: int = 1) -> bool:
        """Whether so many runs have this status."""
        return bool(self.one("SELECT count(*) FROM task_runs WHERE status = %s", status) == times)

    def registered(self, times: int = 1) -> bool:
        """Whether so many workers have started."""
        return bool(self.one("SELECT count(*) FROM reproq_workers") == times)


@contextmanager
def worker(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker; whoever is done with it stops it."""
    command = [sys.executable, "-m", "reproq", "worker", "--settings", SETTINGS, "--poll-interval", "50ms", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        for _ in range(2):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                time.sleep(0.1)
        process.wait(30)


def seconds_until(condition: Callable[[], Any], since: float | None = None) -> float:
    """How long it takes, from now or from a moment of CLOCK_MONOTONIC; SystemExit when it takes too long."""
    since = time.monotonic() if since is None else since
    while not condition():
        if time.monotonic() - since > PATIENCE_SECONDS:
            raise SystemExit("something that must happen did not, so the figures would mean nothing")
        time.sleep(0.005)
    return time.monotonic() - since


def lives(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def after_a_kill(bench: Bench, lease: tuple[str, ...] = SHORT) -> float:
    """kill -9 of a worker with a long run, until another worker executes that run."""
    bench.enqueue("sleep", 600)
    with worker(*lease, *GRACE) as lost:
        seconds_until(lambda: len(bench.executions()) == 1)
        with worker(*lease, *GRACE):
            seconds_until(lambda: bench.registered(2))
            lost.kill()
            return seconds_until(lambda: len(bench.executions()) == 2)


def after_a_kill_by_default(bench: Bench) -> float:
    """The same with the default lease, of 30 s."""
    return after_a_kill(bench, ())


def children_after_a_kill(bench: Bench) -> float:
    """kill -9 of a worker, until its children are dead."""
    bench.enqueue("outlast", 600, times=2)
    with worker("--concurrency", "2", *GRACE) as lost:
        seconds_until(lambda: len(bench.executions()) == 2)
        pids = bench.children()
        lost.kill()
        return seconds_until(lambda: not any(map(lives, pids)))


def cancel(bench: Bench) -> float:
    """A request to cancel a run under way, until it is CANCELLED."""
    bench.enqueue("sleep", 600)
    with worker(*GRACE):
        seconds_until(lambda: len(bench.executions()) == 1)
        began = time.monotonic()
        bench.one("UPDATE task_runs SET cancel_requested_at = now() RETURNING id")
        return seconds_until(lambda: bench.ended("CANCELLED"), began)


def drain_of_short_runs(bench: Bench) -> float:
    """TERM while 50 mock runs of 10 ms are under way, until the process is gone."""
    bench.enqueue("sleep", 0, times=20_000)
    with worker("--executor", "mock", "--exec-sleep", "10ms", "--concurrency", "50") as drained:
        seconds_until(lambda: bench.one("SELECT count(*) > 200 FROM task_runs WHERE finished_at IS NOT NULL"))
        drained.send_signal(signal.SIGTERM)
        return seconds_until(lambda: drained.poll() is not None)


def drain_of_a_long_run(bench: Bench) -> float:
    """TERM with a drain timeout of 1 s and a run that ignores TERM, until the run is READY again."""
    bench.enqueue("outlast", 600)
    with worker("--drain-timeout", "1s") as drained:
        seconds_until(lambda: len(bench.executions()) == 1)
        drained.send_signal(signal.SIGTERM)
        return seconds_until(lambda: bench.ended("READY"))


def outage(bench: Bench) -> tuple[int, int]:
    """The database away for three leases while 8 runs are under way: attempts lost, and executions too many."""
    bench.enqueue("sleep", 16, times=8)
    with worker(*SHORT, "--concurrency", "4"), worker(*SHORT, "--concurrency", "4"):
        seconds_until(lambda: len(bench.executions()) == 8)
        time.sleep(1)  # what a crash of the server may forget of the claims is on the disk by now
        bench.server.stop("immediate")
        time.sleep(12)
        bench.server.start()
        seconds_until(lambda: bench.ended("SUCCESSFUL", 8))
    return bench.one("SELECT sum(attempts) - count(*) FROM task_runs"), len(bench.executions()) - 8


MEASURES: tuple[tuple[Callable[[Bench], float], float], ...] = (
    (children_after_a_kill, 1.0),
    (after_a_kill, 6.0),
    (after_a_kill_by_default, 35.0),
    (cancel, 2.0),
    (drain_of_short_runs, 1.0),
    (drain_of_a_long_run, 2.0),
)
"""What is measured, and the goal in seconds."""


def measure(bench: Bench, rounds: int, only: str) -> Table:
    """The table of what was asked for."""
    table = Table("what", "median s", "worst s", "goal s")
    for what, goal in MEASURES:
        if only in what.__name__:
            seconds = [what(bench) for _ in range(rounds)]
            table.add_row(str(what.__doc__), f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}", f"≤ {goal:g}")
    if only in outage.__name__:
        found = [outage(bench) for _ in range(rounds)]
        for index, name in enumerate(("attempts lost", "executions too many")):
            counts = [counted[index] for counted in found]
            words = f"An outage of three leases, 8 runs under way: {name}, not seconds."
            table.add_row(words, f"{statistics.median(counts):g}", f"{max(counts)}", "0")
    return table


def main() -> None:
    """Start a server, migrate, measure, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="measure only what has this in its name")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reproq-bench-") as folder, Server(f"{folder}/server").running() as server:
        (marks := Path(folder, "marks")).mkdir()
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE recovery")
        dsn = server.conninfo("recovery")
        sources = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        os.environ |= {"REPROQ_DEMO_DATABASE_URL": dsn, "PYTHONPATH": os.pathsep.join(filter(None, sources))}
        os.environ |= {"DJANGO_SETTINGS_MODULE": SETTINGS}
        subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], check=True)
        Console(width=120).print(measure(Bench(server, dsn, marks), options.rounds, options.only))


if __name__ == "__main__":
    main()
