"""How fast one worker drains a queue, and how much memory it holds meanwhile. Run: python benchmarks/drain.py

A real worker on an embedded server in a temporary folder; the task does nothing. The rate counts from the first claim
to the last stored end, by the database's clock. Resident memory is read while it runs: after a tenth of the runs and at
the end, so that growth shows.
"""

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from reproq.spec import make_spec
from reproq.store.runs import NewRun, enqueue

TASK = "reproq_django.quickstart.tasks.say_it_later"
SETTINGS = "reproq_django.quickstart.settings"
GOALS = {"mock": 5000.0}
RSS_GOAL_MB = 120.0


@dataclass(frozen=True, slots=True)
class Figures:
    """One drain."""

    executor: str
    runs: int
    seconds: float
    cpu_seconds: float
    early_mb: float
    last_mb: float


def resident_mb(pid: int) -> float:
    """Resident memory of one process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def drain(dsn: str, executor: str, runs: int, concurrency: int) -> Figures:
    """Enqueue, run a worker to its end, and read what it took."""
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE task_runs")
        for number in range(runs):
            spec = make_spec(TASK, [f"words {number}"], {})
            enqueue(cursor, NewRun(spec=spec, nonce=secrets.randbits(63)))
    command = [sys.executable, "-m", "reproq", "worker", "--burst", "--settings", SETTINGS]
    command += ["--executor", executor, "--concurrency", str(concurrency), "--exec-sleep", "0s"]
    before = os.times()
    worker = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    samples: list[tuple[int, float]] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        while worker.poll() is None:
            (done,) = connection.execute("SELECT count(*) FROM task_runs WHERE finished_at IS NOT NULL").fetchone()
            try:
                samples.append((done, resident_mb(worker.pid)))
            except FileNotFoundError:
                break
            time.sleep(0.2)
        worker.wait()
        query = "SELECT count(*), extract(epoch FROM max(finished_at) - min(last_attempted_at)) FROM task_runs"
        done, seconds = connection.execute(query + " WHERE status = 'SUCCESSFUL'").fetchone()
        others = connection.execute("SELECT id, status, errors FROM task_runs WHERE status <> 'SUCCESSFUL' LIMIT 5")
        left = others.fetchall()
    if done != runs:
        raise SystemExit(f"{done} of {runs} runs succeeded, so the figures would mean nothing; the others: {left}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    early = next(mb for count, mb in samples if count >= runs / 10)
    return Figures(executor, runs, float(seconds), cpu, early, [mb for _, mb in samples if mb][-1])


def show(figures: list[Figures]) -> None:
    """The table."""
    table = Table("executor", "runs", "runs/s", "goal", "CPU s / 1,000", "RSS early", "RSS last", "goal")
    for one in figures:
        goal = f"{GOALS[one.executor]:,.0f}" if one.executor in GOALS else ""
        table.add_row(
            one.executor,
            f"{one.runs:,}",
            f"{one.runs / one.seconds:,.0f}",
            goal,
            f"{one.cpu_seconds * 1000 / one.runs:.2f}",
            f"{one.early_mb:.1f} MB",
            f"{one.last_mb:.1f} MB",
            f"< {RSS_GOAL_MB:.0f} MB, flat",
        )
    Console(width=120).print(table)


def main() -> None:
    """Start a server, migrate, drain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--fork-runs", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reproq-bench-") as folder:
        os.environ |= {"REPROQ_DEMO_FOLDER": f"{folder}/server", "DJANGO_SETTINGS_MODULE": SETTINGS}
        from reproq_django.embedded.server import Server

        with Server(f"{folder}/server").running() as server:
            subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], check=True)
            dsn = server.conninfo("reproq")
            mock = drain(dsn, "mock", options.runs, 500)
            fork = drain(dsn, "fork", options.fork_runs, os.cpu_count() or 1)
    show([mock, fork])


if __name__ == "__main__":
    main()
