"""What an outage of the database costs: how soon it is noticed, how soon claims resume, and what a worker burns.

    python benchmarks/outage.py [--rounds 3] [--only cpu]

Real workers with the defaults, on a PostgreSQL 18 of their own. Where packets vanish, a worker lives in a network
namespace whose cable is pulled, so that needs root and iproute2. The table shows medians and the worst;
docs/reliability.md shows one.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.acceptance.listening import server_in  # noqa: E402 - the tests' own network, and their servers
from tests.acceptance.network import Network  # noqa: E402
from tests.plugins.databases import own_server, prepare  # noqa: E402

SETTINGS = "reproq_django.quickstart.settings"
OUTAGE_SECONDS = 10.0
CPU_SECONDS = 30.0
PATIENCE_SECONDS = 60.0
ENQUEUE = "INSERT INTO task_runs (task_path) VALUES ('reproq_django.quickstart.tasks.tell_the_time')"
CLAIMED = "SELECT 1 FROM task_runs WHERE status <> 'READY' AND id = (SELECT max(id) FROM task_runs)"
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def worker(dsn: str, log: Path) -> Iterator[int]:
    """The pid of a worker with the defaults that has executed a run, so that its template has imported all it needs; it
    ends with the block."""
    environment = os.environ | {"REPROQ_DEMO_DATABASE_URL": dsn}
    command = [sys.executable, "-m", "reproq", "worker", "--settings", SETTINGS]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(ENQUEUE)
        seconds_until(lambda: "run.succeeded" in log.read_text(), log)
        yield process.pid
    finally:
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
        process.wait(30)


def seconds_until(condition: Callable[[], object], log: Path) -> float:
    """How long it takes; SystemExit, with the worker's log, when it takes too long."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise SystemExit(f"{log.read_text()}\nsomething that must happen did not, so there are no figures")
        time.sleep(0.005)
    return time.monotonic() - began


def cpu_seconds(pid: int) -> float:
    """What a process and all that descend from it have used so far."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS + sum(cpu_seconds(int(child)) for child in children)


def cpu_percent(pid: int) -> float:
    """Of one CPU, from now on for a while."""
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(CPU_SECONDS)
    return 100 * (cpu_seconds(pid) - before) / (time.monotonic() - began)


def first_claim(dsn: str, log: Path) -> float:
    """Seconds from the first connection that a server accepts until a run that is enqueued over it is claimed."""
    while True:
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(ENQUEUE)
                return seconds_until(lambda: connection.execute(CLAIMED).fetchone(), log)
        except psycopg.OperationalError:
            time.sleep(0.005)


def restart(folder: Path) -> float:
    """The server is killed and started again: from its first connection until claims resume."""
    with own_server(folder).running(mode="immediate") as server:
        dsn = prepare(server.conninfo())
        with worker(dsn, log := folder / "log"):
            server.stop("immediate")
            time.sleep(OUTAGE_SECONDS)
            starting = threading.Thread(target=server.start)
            starting.start()
            seconds = first_claim(dsn, log)
            starting.join()
            return seconds


@contextmanager
def cut_off(folder: Path) -> Iterator[tuple[int, Path, Callable[[], None]]]:
    """A worker on a host of its own: its pid, its log, and what pulls its cable."""
    with (
        Network.of(1) as network,
        server_in(network, folder) as (_, dsn),
        network.inside(network.host(0)),
        worker(dsn, log := folder / "log") as pid,
    ):
        yield pid, log, lambda: network.pull(0)


def half_open(folder: Path) -> float:
    """A cable is pulled while the worker has nothing to do: until it says that the database is lost."""
    with cut_off(folder) as (_, log, pull):
        pull()
        return seconds_until(lambda: "database lost" in log.read_text(), log)


def cpu_while_refused(folder: Path) -> float:
    """The server is down: CPU of the worker and its template, in percent of one."""
    with own_server(folder).running(mode="immediate") as server:
        dsn = prepare(server.conninfo())
        with worker(dsn, log := folder / "log") as pid:
            server.stop("immediate")
            seconds_until(lambda: "database lost" in log.read_text(), log)
            return cpu_percent(pid)


def cpu_while_packets_vanish(folder: Path) -> float:
    """The cable is pulled: the same."""
    with cut_off(folder) as (pid, log, pull):
        pull()
        seconds_until(lambda: "database lost" in log.read_text(), log)
        return cpu_percent(pid)


MEASURES: tuple[tuple[Callable[[Path], float], float], ...] = (
    (restart, 2.0),
    (half_open, 20.0),
    (cpu_while_refused, 2.0),
    (cpu_while_packets_vanish, 2.0),
)
"""What is measured, and the goal: seconds, or percent."""


def main() -> None:
    """Measure, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="measure only what has this in its name")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers and namespaces end with the blocks they are in
    table = Table("what", "median", "worst", "goal")
    for what, goal in MEASURES:
        if options.only in what.__name__:
            found = []
            for _ in range(options.rounds):
                with tempfile.TemporaryDirectory(prefix="reproq-outage-") as folder:
                    found.append(what(Path(folder)))
                print(f"{what.__name__}: {found[-1]:.2f}", file=sys.stderr, flush=True)
            table.add_row(str(what.__doc__), f"{statistics.median(found):.2f}", f"{max(found):.2f}", f"≤ {goal:g}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
