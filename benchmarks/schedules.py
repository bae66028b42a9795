"""How late ticks are, how many of them fit into a minute, and that many beats double none.

    python benchmarks/schedules.py [--seconds 120] [--schedules 10000] [--only lateness]

Real beats, as processes of their own, on an embedded PostgreSQL 18 in a temporary folder; nobody runs what is enqueued.
Lateness is from the moment at which a tick was due to the database's clock when it was decided.
"""

import argparse
import os
import signal
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
EVERY_SECOND = "* * * * * *"
MINUTELY = "* * * * *"
SIX_HOURS = 6 * 3600


@dataclass(slots=True)
class Bench:
    """One server with our tables."""

    dsn: str

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"REPROQ_DEMO_DATABASE_URL": self.dsn, "DJANGO_SETTINGS_MODULE": SETTINGS}

    def ask(self, query: str, *values: object) -> Any:
        """The first row."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchone() if cursor.description else None

    def schedule(self, count: int, cron_expr: str, **columns: object) -> None:
        """Empty the tables, then make so many periodic tasks of one expression."""
        self.ask("TRUNCATE periodic_tasks, reproq_ticks, task_runs, reproq_workers")
        names = "".join(f", {name}" for name in columns)
        self.ask(
            f"INSERT INTO periodic_tasks (name, cron_expr, task_path, args{names})"
            f" SELECT 'job ' || n, %s, 'bench.tasks.tick', json_build_array(n){', %s' * len(columns)}"
            " FROM generate_series(1, %s) AS n",
            cron_expr,
            *columns.values(),
            count,
        )

    @contextmanager
    def beats(self, count: int, *arguments: str) -> Iterator[list[subprocess.Popen[bytes]]]:
        """So many beats, until the block ends."""
        command = [sys.executable, "-m", "reproq", "beat", *arguments]
        running = [subprocess.Popen(command, env=self.environment, stderr=subprocess.DEVNULL) for _ in range(count)]
        try:
            wait_for(lambda: self.ask("SELECT count(*) FROM reproq_workers")[0] == count)
            yield running
        finally:
            for one in running:
                one.send_signal(signal.SIGTERM)
            for one in running:
                one.wait(30)


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Look every few milliseconds until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("waited in vain")
        time.sleep(0.005)


def resident_mb(process: "subprocess.Popen[bytes]") -> float:
    """The most memory that a process has had, in MB."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lateness(bench: Bench, seconds: float) -> Iterator[tuple[str, str, str]]:
    """An idle beat with one schedule of every second."""
    bench.schedule(1, EVERY_SECOND)
    with bench.beats(1) as (beat,):
        wait_for(lambda: bench.ask("SELECT count(*) FROM reproq_ticks")[0] > 0)
        began = cpu_seconds(beat.pid)
        time.sleep(seconds)
        cpu = cpu_seconds(beat.pid) - began
    p50, p99, most, ticks = bench.ask(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY late), percentile_cont(0.99) WITHIN GROUP (ORDER BY late),"
        " max(late), count(*) FROM (SELECT extract(epoch FROM decided_at - due_at)::float8 * 1000 AS late"
        " FROM reproq_ticks OFFSET 1) AS tick"
    )
    figures = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {most:.1f} ms"
    yield f"lateness of {ticks} ticks, one a second", figures, "p99 ≤ 100 ms"
    yield "CPU of the beat for it", f"{cpu / ticks * 1000:.1f} ms a tick", ""


def many(bench: Bench, count: int) -> Iterator[tuple[str, str, str]]:
    """Very many schedules that are due at the same moment."""
    bench.schedule(count, MINUTELY)
    with bench.beats(1) as (beat,):
        wait_for(lambda: bench.ask("SELECT count(*) FROM periodic_tasks WHERE next_run_at IS NULL")[0] == 0)
        (moment,) = bench.ask("SELECT min(next_run_at) FROM periodic_tasks")
        (wait,) = bench.ask("SELECT extract(epoch FROM %s - clock_timestamp())::float8", moment)
        time.sleep(max(wait - 1.0, 0.0))
        (session,) = bench.ask("SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'beat-')")
        before, before_server = cpu_seconds(beat.pid), cpu_seconds(session)
        wait_for(lambda: bench.ask("SELECT count(*) FROM reproq_ticks WHERE due_at = %s", moment)[0] >= count)
        (took,) = bench.ask("SELECT extract(epoch FROM clock_timestamp() - %s)::float8", moment)
        cpu, cpu_server = cpu_seconds(beat.pid) - before, cpu_seconds(session) - before_server
        memory = resident_mb(beat)
    yield f"{count:,} schedules due at once, until all are enqueued", f"{took:.1f} s", "≤ 5 s"
    yield "CPU for it, of the beat and of its session in the server", f"{cpu:.2f} s, {cpu_server:.2f} s", ""
    yield "memory of the beat at most", f"{memory:.0f} MB", "≤ 80 MB"


def ten_beats(bench: Bench, seconds: float) -> Iterator[tuple[str, str, str]]:
    """Ten beats over five schedules of every second."""
    bench.schedule(5, EVERY_SECOND)
    with bench.beats(10):
        wait_for(lambda: bench.ask("SELECT count(*) FROM reproq_ticks")[0] > 0)
        time.sleep(seconds)
    ticks, runs, doubled, gaps = bench.ask(
        "SELECT count(*), (SELECT count(*) FROM task_runs), count(*) - count(DISTINCT (periodic_task_id, due_at)),"
        " count(*) FILTER (WHERE due_at - before <> interval '1 second') FROM (SELECT *, lag(due_at)"
        " OVER (PARTITION BY periodic_task_id ORDER BY due_at) AS before FROM reproq_ticks) AS tick"
    )
    what = f"ten beats for {seconds:.0f} s, five schedules of every second"
    yield (
        what,
        f"{ticks} ticks, {runs} runs, {doubled} doubled, {gaps} missing",
        "a run a tick, none doubled or missing",
    )


def after_six_hours(bench: Bench) -> Iterator[tuple[str, str, str]]:
    """A schedule of every minute, six hours after anybody looked, in the second half of a minute."""
    for policy, expected in (("none", 0), ("latest", 1), ("all", 100)):
        bench.schedule(1, MINUTELY, catch_up=policy)
        bench.ask(
            "UPDATE periodic_tasks SET computed_until = now() - %s * interval '1 second', upcoming = ARRAY["
            "date_trunc('minute', now() - %s * interval '1 second')], refill_at = 'epoch'",
            SIX_HOURS,
            SIX_HOURS,
        )
        wait_for(lambda: 15 < bench.ask("SELECT extract(second FROM clock_timestamp())::float8")[0] < 50)
        subprocess.run([sys.executable, "-m", "reproq", "beat", "--once"], env=bench.environment, check=True)
        (runs,) = bench.ask("SELECT count(*) FROM task_runs")
        yield f"six hours missed by a schedule of every minute, catch_up={policy}", f"{runs} runs", str(expected)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--only", choices=("lateness", "many", "ten_beats", "after_six_hours"))
    options = parser.parse_args()
    table = Table("what", "measured", "goal", box=None)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server")
        server.start()
        try:
            bench = Bench(server.conninfo("postgres"))
            subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], env=bench.environment, check=True)
            measures: dict[str, Callable[[], Iterator[tuple[str, str, str]]]] = {
                "lateness": lambda: lateness(bench, options.seconds),
                "many": lambda: many(bench, options.schedules),
                "ten_beats": lambda: ten_beats(bench, options.seconds),
                "after_six_hours": lambda: after_six_hours(bench),
            }
            for name, measure in measures.items():
                if options.only in (None, name):
                    for row in measure():
                        table.add_row(*row)
        finally:
            server.stop("immediate")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
