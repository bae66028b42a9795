"""How soon an idle worker starts what is enqueued. Run: python benchmarks/latency.py

A real worker with its defaults on an embedded server in a temporary folder. A latency counts from before the call of
`enqueue` (or the COMMIT, or the due time) to the first line of the task; both read CLOCK_MONOTONIC.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

SETTINGS = "reproq_django.quickstart.settings"
OPEN_SECONDS = 0.2
DUE_SECONDS = 0.3
SPACING_SECONDS = 0.05

Made = tuple[float, str]
"""A moment from which a latency counts, and the id of the run's result."""


def at_once() -> Made:
    """One enqueue in autocommit."""
    from first_line import first_line

    began = time.monotonic()
    return began, first_line.enqueue().id


def in_a_transaction() -> Made:
    """One enqueue in a transaction that stays open; the COMMIT counts."""
    from django.db import transaction
    from first_line import first_line

    with transaction.atomic():
        result = first_line.enqueue()
        time.sleep(OPEN_SECONDS)
        began = time.monotonic()
    return began, result.id


def later() -> Made:
    """One run that is due a little later; its due time counts."""
    from datetime import timedelta

    from first_line import first_line

    now = time.monotonic()
    result = first_line.using(run_after=timedelta(seconds=DUE_SECONDS)).enqueue()
    return now + DUE_SECONDS, result.id


def measure(make: Callable[[], Made], times: int, spacing_seconds: float) -> list[float]:
    """Latencies in seconds, sorted."""
    from first_line import first_line

    made = []
    for _ in range(times):
        due = time.monotonic() + spacing_seconds
        made.append(make())
        time.sleep(max(0.0, due - time.monotonic()))
    results = [(began, first_line.get_result(one)) for began, one in made]
    while not all(result.is_finished for _, result in results):
        time.sleep(0.1)
        for _, result in results:
            result.refresh()
    return sorted(result.return_value - began for began, result in results)


def show(rows: list[tuple[str, str, list[float], str]]) -> None:
    """The table; milliseconds."""
    table = Table("executor", "what", "runs", "p50 ms", "p99 ms", "max ms", "goal")
    for executor, what, latencies, goal in rows:
        found = [latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)], latencies[-1]]
        table.add_row(executor, what, str(len(latencies)), *(f"{one * 1000:.1f}" for one in found), goal)
    Console(width=140).print(table)


def main() -> None:
    """Start a server and a worker, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--executor", action="append", default=[])
    options = parser.parse_args()
    here = str(Path(__file__).parent)
    rows = []
    with tempfile.TemporaryDirectory(prefix="reproq-bench-") as folder:
        os.environ |= {"REPROQ_DEMO_FOLDER": f"{folder}/server", "DJANGO_SETTINGS_MODULE": SETTINGS, "PYTHONPATH": here}
        import django

        from reproq_django.embedded.server import Server

        with Server(f"{folder}/server").running():
            subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], check=True)
            django.setup()
            for executor in options.executor or ["fork"]:
                command = [sys.executable, "-m", "reproq", "worker", "--executor", executor]
                worker = subprocess.Popen(command, stderr=subprocess.DEVNULL)
                try:
                    measure(at_once, 20, SPACING_SECONDS)  # it imports the project meanwhile
                    goal = "p50 <= 5, p99 <= 12"
                    latencies = measure(at_once, options.runs, SPACING_SECONDS)
                    rows.append((executor, "enqueue, one every 50 ms", latencies, goal))
                    latencies = measure(in_a_transaction, options.runs // 4, 0.0)
                    rows.append((executor, "COMMIT after 200 ms", latencies, "p99 <= 12"))
                    latencies = measure(later, options.runs // 2, SPACING_SECONDS)
                    rows.append((executor, "due time", latencies, "p99 <= 50"))
                finally:
                    worker.terminate()
                    worker.wait()
    show(rows)


if __name__ == "__main__":
    main()
