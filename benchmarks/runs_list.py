"""How long `manage.py reproq runs list` takes on a million rows. Run: python benchmarks/runs_list.py

An embedded server in a temporary folder, rows as in benchmarks/admin.py, then ANALYZE. Each command is a process of its
own, so the time holds the start of Python and of Django; the median and the worst of its calls are shown.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

import psycopg
from admin import LOAD, ROOT
from rich.console import Console
from rich.table import Table

GOAL_MS = 1000.0
LISTS: dict[str, list[str]] = {
    "newest runs": [],
    "older runs": ["--before", "500000"],
    "FAILED": ["--status", "FAILED"],
    "READY in q1": ["--status", "READY", "--queue", "q1"],
    "one task, timeout, last hour": ["--task", "app.tasks.t7", "--error", "timeout", "--since", "1h"],
    "a spec hash": ["--spec-hash", "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"],
    "nothing there": ["--queue", "none"],
}


def milliseconds(asked: list[str]) -> float:
    """One call of the command, from its start to its end."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "django", "reproq", "runs", "list", *asked]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    """Start a server, migrate, load, ask."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from reproq_django.embedded.server import Server

    table = Table("list", "median ms", "worst ms", "goal")
    with tempfile.TemporaryDirectory(prefix="reproq-bench-") as folder, Server(f"{folder}/server").running() as server:
        dsn = server.conninfo("postgres")
        os.environ |= {"REPROQ_TEST_DSN": dsn, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], check=True, cwd=ROOT)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(LOAD.replace("i % ", "i %% "), [options.runs])
            connection.execute("ANALYZE task_runs")
        for name, asked in LISTS.items():
            taken = [milliseconds(asked) for _ in range(options.times)]
            table.add_row(name, f"{statistics.median(taken):.0f}", f"{max(taken):.0f}", f"≤ {GOAL_MS:.0f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
