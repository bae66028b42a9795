"""Drains, several workers at once and bulk enqueues, each beside its ceiling. Run: python benchmarks/goals.py

Everything happens on an embedded server of its own, in a temporary folder. A drain stands between two runs of
ceiling.py on the same server; figures are medians of `--times`. `--json FILE` keeps all of them, with machine and
versions. Ratios are what to compare: the machine's other work moves both sides.
"""

import argparse
import itertools
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
from ceiling import measure as ceiling
from rich.console import Console
from rich.table import Table

from reproq.loadtest.made_up import Shape, made_up
from reproq.store.runs import NewRun, enqueue_many

TASK = "reproq_django.noop.do_nothing"
SETTINGS = "reproq_django.quickstart.settings"
GOALS = {"mock": 0.75, "pool": 0.55}
BULK = 10_000
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """One drain by one or more workers. Costs are per 1,000 runs."""

    executor: str
    workers: int
    runs: int
    runs_per_second: float
    ceiling_per_second: float
    commits: float
    wal_bytes: float
    index_pages: float
    worker_cpu_seconds: float
    server_cpu_seconds: float
    least_share: float
    deadlocks: int

    @property
    def ratio(self) -> float:
        return self.runs_per_second / self.ceiling_per_second


def runs_of(count: int, payload: int) -> list[NewRun]:
    """So many runs of the no-op task, due at once, in the default queue."""
    shape = Shape(task_path=TASK, seed=1, queues=("default",), priorities=(0,), later_percent=0.0, payload_size=payload)
    return list(itertools.islice(made_up(shape), count))


def fill(pg: psycopg.Connection, count: int, payload: int) -> None:
    """Enqueue these runs, all of them at one moment."""
    with pg.transaction(), pg.cursor() as cursor:
        for batch in itertools.batched(runs_of(count, payload), 1000):
            enqueue_many(cursor, batch)


def wait_for(pg: psycopg.Connection, query: str, wanted: int) -> None:
    """Ask until the answer is `wanted`; no answer changes a figure, which come from the rows themselves."""
    while pg.execute(query).fetchone() != (wanted,):
        time.sleep(0.1)


def server_cpu_seconds(postmaster: int) -> float:
    """CPU of the postmaster, of its processes, and of those that have ended."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(folder.name) == postmaster:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == postmaster:
            ticks += sum(map(int, fields[11:13]))
    return ticks / TICKS


def server_counts(pg: psycopg.Connection) -> tuple[int, int, int, int]:
    """Commits, WAL bytes, index pages touched and deadlocks since the server began."""
    pg.execute("SELECT pg_stat_clear_snapshot()")
    row = pg.execute(
        "SELECT xact_commit, (pg_current_wal_insert_lsn() - '0/0')::bigint, (SELECT sum(idx_blks_hit + idx_blks_read)"
        " FROM pg_statio_user_tables)::bigint, deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    return row


@contextmanager
def workers(count: int, executor: str) -> Iterator[None]:
    """Running workers; told to end, and awaited, however this ends."""
    concurrency = {"mock": "500"}.get(executor, "2")
    command = [sys.executable, "-m", "reproq", "worker", "--settings", SETTINGS, "--executor", executor]
    command += ["--poll-interval", "50ms", "--concurrency", concurrency, "--exec-sleep", "0s"]
    with ExitStack() as stack:
        for _ in range(count):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        yield


def drain(dsn: str, postmaster: int, executor: str, count: int, runs: int, payload: int) -> Drain:
    """One drain between two ceilings."""
    reference = min(runs, 50_000) if executor == "mock" else 5000
    bars = [ceiling(dsn, reference)]
    with psycopg.connect(dsn, autocommit=True) as pg:
        pg.execute("TRUNCATE task_runs")
        ours = resource.getrusage(resource.RUSAGE_CHILDREN)
        with workers(count, executor):
            wait_for(pg, "SELECT count(*) FROM reproq_workers", count)
            fill(pg, runs, payload)
            before, cpu = server_counts(pg), server_cpu_seconds(postmaster)
            wait_for(pg, "SELECT count(*) FROM task_runs WHERE finished_at IS NOT NULL", runs)
        theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
        after, cpu = server_counts(pg), server_cpu_seconds(postmaster) - cpu
        query = "SELECT count(*), extract(epoch FROM max(finished_at) - min(last_attempted_at))::float8 FROM task_runs"
        done, seconds = pg.execute(query + " WHERE status = 'SUCCESSFUL'").fetchone()
        query = "SELECT min(n) FILTER (WHERE place <= %s), count(*) FROM (SELECT count(*) AS n, row_number() OVER"
        query += " (ORDER BY count(*) DESC) AS place FROM task_runs GROUP BY worker_ids) AS shares"
        least, served = pg.execute(query, [count]).fetchone()
    if done != runs:
        raise SystemExit(f"{done} of {runs} runs succeeded under {executor}, so the figures would mean nothing")
    bars.append(ceiling(dsn, reference))
    thousands = runs / 1000
    commits, wal, pages, deadlocks = (new - old for new, old in zip(after, before, strict=True))
    used = theirs.ru_utime + theirs.ru_stime - ours.ru_utime - ours.ru_stime
    return Drain(
        executor=executor,
        workers=count,
        runs=runs,
        runs_per_second=runs / seconds,
        ceiling_per_second=statistics.mean(bars),
        commits=commits / thousands,
        wal_bytes=wal / thousands,
        index_pages=pages / thousands,
        worker_cpu_seconds=used / thousands,
        server_cpu_seconds=cpu / thousands,
        least_share=least / runs if served >= count else 0.0,
        deadlocks=deadlocks,
    )


def bulk(dsn: str) -> tuple[float, float]:
    """Rows a second of `enqueue_many` and of COPY of the same rows, in turns."""
    runs = runs_of(BULK, 100)
    with psycopg.connect(dsn, autocommit=True) as pg:
        pg.execute("TRUNCATE task_runs")
        began = time.perf_counter()
        with pg.transaction(), pg.cursor() as cursor:
            enqueue_many(cursor, runs)
        ours = BULK / (time.perf_counter() - began)
        pg.execute("TRUNCATE task_runs")
        rows = [(run.nonce, TASK, run.spec.args_json, run.spec.spec_hash) for run in runs]
        began = time.perf_counter()
        with (
            pg.cursor() as cursor,
            cursor.copy("COPY task_runs (nonce, task_path, args, spec_hash) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)
        return ours, BULK / (time.perf_counter() - began)


def median(drains: list[Drain]) -> Drain:
    """The drain whose ratio is the median."""
    return sorted(drains, key=lambda one: one.ratio)[len(drains) // 2]


def show(drains: list[Drain], bulks: list[tuple[float, float]]) -> None:
    """The tables."""
    heads = ["drain", "runs", "runs/s", "ceiling", "ratio", "goal", "commits", "WAL kB", "index pages"]
    table = Table(*heads, "CPU s worker", "CPU s server", "least share", "deadlocks", caption="costs per 1,000 runs")
    for one in drains:
        name = f"{one.executor} x {one.workers}"
        goal = f"{GOALS[one.executor]:.2f}" if one.workers == 1 and one.executor in GOALS else ""
        rates = [f"{one.runs:,}", f"{one.runs_per_second:,.0f}", f"{one.ceiling_per_second:,.0f}", f"{one.ratio:.2f}"]
        costs = [f"{one.commits:.1f}", f"{one.wal_bytes / 1000:,.0f}", f"{one.index_pages:,.0f}"]
        cpu = [f"{one.worker_cpu_seconds:.3f}", f"{one.server_cpu_seconds:.3f}"]
        table.add_row(name, *rates, goal, *costs, *cpu, f"{one.least_share:.0%}", str(one.deadlocks))
    Console(width=150).print(table)
    ours, copy = (statistics.median(side) for side in zip(*bulks, strict=True))
    print(f"enqueue_many of {BULK:,}: {ours:,.0f}/s; COPY {copy:,.0f}/s; ratio {ours / copy:.2f} (goal 0.60)")


def main() -> None:
    """Start a server, migrate, measure. TERM ends it as Ctrl-C does: with nothing left behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--fork-runs", type=int, default=1000)
    parser.add_argument("--spawn-runs", type=int, default=20)
    parser.add_argument("--payload", type=int, default=100)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    plan = [("mock", 1, options.runs), ("mock", 4, options.runs)]
    plan += [("fork", 1, options.fork_runs), ("spawn", 1, options.spawn_runs)]
    with tempfile.TemporaryDirectory(prefix="reproq-bench-") as folder:
        os.environ |= {"REPROQ_DEMO_FOLDER": f"{folder}/server", "DJANGO_SETTINGS_MODULE": SETTINGS}
        from reproq_django.embedded.server import Server

        with Server(f"{folder}/server").running() as server:
            subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], check=True)
            dsn = server.conninfo("reproq")
            pid = server.status().pid
            measured = [
                [drain(dsn, pid, *one, options.payload) for _ in range(options.times)] for one in plan if one[2]
            ]
            bulks = [bulk(dsn) for _ in range(options.times)]
            with psycopg.connect(dsn) as pg:
                version = pg.info.parameter_status("server_version")
    show([median(drains) for drains in measured], bulks)
    if options.json:
        machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
        facts = {"machine": machine | {"postgresql": version}, "bulk": bulks}
        facts["drains"] = [asdict(one) | {"ratio": one.ratio} for drains in measured for one in drains]
        options.json.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
