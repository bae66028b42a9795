"""What enqueueing costs beside what the database takes for the same rows. Run: python benchmarks/enqueue.py

An embedded server in a temporary folder, Django in this process. Ours and the bare way take turns, and the median round
counts, so that a busy machine slows both. CPU is this process's own, without the server's.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import psycopg
from rich.console import Console
from rich.table import Table

SETTINGS = "reproq_django.quickstart.settings"
TEXT = "x" * 100
COLUMNS = "nonce, backend, task_path, args, kwargs, spec_hash, queue_name, enqueued_at, due_at, status, max_attempts"

Figures = tuple[float, float]
"""Wall seconds and CPU seconds of one round."""


def timed(work: Callable[[], None]) -> Figures:
    """Do it once."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def in_turns(rounds: int, *works: Callable[[], None]) -> list[Figures]:
    """The medians of each, done in turns; the first round only warms up."""
    found = [[timed(work) for work in works] for _ in range(rounds + 1)][1:]
    ways = zip(*found, strict=True)
    return [(statistics.median(w for w, _ in way), statistics.median(c for _, c in way)) for way in ways]


def texts_of(cursor: psycopg.Cursor, count: int) -> list[tuple[object, ...]]:
    """The columns of so many stored runs, args and kwargs as texts, for INSERT and COPY."""
    chosen = COLUMNS.replace(" args, kwargs", " args::text, kwargs::text")
    cursor.execute(f"SELECT {chosen} FROM task_runs ORDER BY id LIMIT %s", [count])
    return cursor.fetchall()


def measure(dsn: str, rounds: int, singles: int, many: int) -> Table:
    """All of it."""
    from reproq_django.noop import do_nothing

    connection = psycopg.connect(dsn, autocommit=True)
    cursor = connection.cursor()
    placeholders = ", ".join(["%s"] * len(COLUMNS.split(",")))
    insert = f"INSERT INTO task_runs ({COLUMNS}) VALUES ({placeholders}) RETURNING id, enqueued_at, run_after"
    do_nothing.enqueue_many((number, TEXT, 1) for number in range(many))
    rows = texts_of(cursor, many)

    def one_by_one() -> None:
        for number in range(singles):
            do_nothing.enqueue(number, TEXT, 1)

    def bare() -> None:
        for row in rows[:singles]:
            cursor.execute(insert, row).fetchone()

    def bulk() -> None:
        do_nothing.enqueue_many((number, TEXT, 1) for number in range(many))

    def copy() -> None:
        with connection.transaction(), cursor.copy(f"COPY task_runs ({COLUMNS}) FROM STDIN") as stream:
            for row in rows:
                stream.write_row(row)

    def idle_bulk() -> None:
        cursor.execute("UPDATE reproq_workers SET idle_queues = '{*}'")
        bulk()
        cursor.execute("UPDATE reproq_workers SET idle_queues = '{}'")

    cursor.execute("INSERT INTO reproq_workers (worker_id) VALUES ('one that waits')")
    listening = psycopg.connect(dsn, autocommit=True)
    listening.execute("LISTEN reproq_wake")
    table = Table("what", "runs/s", "bare", "bare runs/s", "ratio", "goal", "CPU us a run", "of it above bare")
    for name, count, ours, bare_name, other, goal in (
        ("enqueue, autocommit", singles, one_by_one, "INSERT", bare, "0.8; CPU <= 120"),
        ("enqueue_many", many, bulk, "COPY", copy, "0.6; 40,000/s"),
        ("enqueue_many, a worker waits", many, idle_bulk, "nobody waits", bulk, "0.9"),
    ):
        (wall, cpu), (bare_wall, bare_cpu) = in_turns(rounds, ours, other)
        figures = [f"{count / wall:,.0f}", bare_name, f"{count / bare_wall:,.0f}", f"{bare_wall / wall:.2f}", goal]
        above = (cpu - bare_cpu) / count * 1e6
        table.add_row(name, *figures, f"{cpu / count * 1e6:.0f}", f"{above:.0f}")
        cursor.execute("TRUNCATE task_runs")
    listening.close()
    connection.close()
    return table


def main() -> None:
    """Start a server, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--singles", type=int, default=500)
    parser.add_argument("--many", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reproq-bench-") as folder:
        os.environ |= {"REPROQ_DEMO_FOLDER": f"{folder}/server", "DJANGO_SETTINGS_MODULE": SETTINGS}
        import django

        from reproq_django.embedded.server import Server

        with Server(f"{folder}/server").running() as server:
            subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], check=True)
            django.setup()
            table = measure(server.conninfo("reproq"), options.rounds, options.singles, options.many)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
