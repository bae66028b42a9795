"""How long the admin's list of runs takes on a million rows. Run: python benchmarks/admin.py

An embedded server in a temporary folder, rows by generate_series, then ANALYZE. Each page is asked for through Django's
test client, middleware, session and templates included; the median and the worst of its requests are shown, and
whether any query of the page reads the table in sequence. The goal is that of the first line.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
GOAL_MS = 300.0
RUNS = "/admin/reproq_django/taskrun/"
LOAD = """
INSERT INTO task_runs (task_path, args, spec_hash, queue_name, status, attempts, worker_ids, finished_at, return_value,
    failures, errors)
SELECT 'app.tasks.t' || i % 50, json_build_array(i, repeat('x', 100)), encode(sha256((i / 4)::text::bytea), 'hex'),
    'q' || i % 3, status, (status <> 'READY')::int, CASE WHEN status = 'READY' THEN '{}' ELSE '{w-1}'::text[] END,
    CASE WHEN status <> 'READY' THEN now() END, CASE WHEN status = 'SUCCESSFUL' THEN '{"lines": 120}'::json END,
    (status = 'FAILED')::int,
    CASE WHEN status = 'FAILED' THEN '[{"kind": "timeout", "message": "too long"}]'::jsonb ELSE '[]' END
FROM generate_series(1, %s::int) AS i, LATERAL (
    SELECT CASE WHEN i % 1000 = 7 THEN 'FAILED' WHEN i % 20 = 1 THEN 'READY' ELSE 'SUCCESSFUL' END AS status
) AS drawn
"""
PAGES: dict[str, dict[str, str]] = {
    "newest runs": {},
    "last page of the window": {"p": "200"},
    "older runs": {"before": "500000"},
    "READY": {"status": "READY"},
    "FAILED": {"status": "FAILED"},
    "FAILED in q1, timeout": {"status": "FAILED", "queue": "q1", "error": "timeout"},
    "search: part of a task's path": {"q": "tasks.t7"},
    "search: a spec hash": {"q": "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"},
    "search: nothing there": {"q": "nothing"},
}


def measure(client: Any, asked: dict[str, str], times: int) -> tuple[list[float], int, int]:
    """Milliseconds of each request, the queries of one, and how many of those read the table in sequence."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        assert client.get(RUNS, asked, follow=True).status_code == 200
    asks = len(queries)  # the next request empties the log
    scans = sum(reads_in_sequence(one["sql"]) for one in queries if re.search(r"\btask_runs\b", one["sql"]))
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        client.get(RUNS, asked, follow=True)
        taken.append((time.perf_counter() - start) * 1000)
    return taken, asks, scans


def reads_in_sequence(query: str) -> bool:
    """Whether the plan of a query holds a sequential scan of the table."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + query.replace("%", "%%"), ())
        return any("Seq Scan on task_runs" in line for (line,) in cursor.fetchall())


def client_of_staff() -> Any:
    """A logged-in superuser."""
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.create_superuser("staff"))
    return client


def main() -> None:
    """Start a server, migrate, load, ask."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=15)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from reproq_django.embedded.server import Server

    table = Table("page", "median ms", "worst ms", "goal", "queries", "sequential scans")
    with tempfile.TemporaryDirectory(prefix="reproq-bench-") as folder, Server(f"{folder}/server").running() as server:
        dsn = server.conninfo("postgres")
        os.environ |= {"REPROQ_TEST_DSN": dsn, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], check=True, cwd=ROOT)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(LOAD.replace("i % ", "i %% "), [options.runs])
            connection.execute("ANALYZE task_runs")
        client = client_of_staff()
        for name, asked in PAGES.items():
            taken, queries, scans = measure(client, asked, options.times)
            median, worst = statistics.median(taken), max(taken)
            table.add_row(name, f"{median:.0f}", f"{worst:.0f}", f"≤ {GOAL_MS:.0f}", str(queries), str(scans))
        from django.db import connections

        connections.close_all()
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
