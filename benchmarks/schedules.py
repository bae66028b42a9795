"""The figures of schedules: how late ticks are, how many fit into a minute, what a beat weighs, that ten of them double
none, and what six hours of downtime leave to be made up for.

    python benchmarks/schedules.py [--short] [--seconds 120] [--schedules 10000] [--only lateness …]

Real beats, as processes of their own, on an embedded PostgreSQL 18 in a temporary folder; nobody runs what is enqueued.
Lateness is from the moment at which a tick was due to the database's clock when it was decided. All figures come in
one go, as a table in Markdown; `--short` is for trying the bench itself. Ends with 1 where a goal is missed.
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

from reproq_django.embedded.server import Server

SETTINGS = "reproq_django.quickstart.settings"
EVERY_SECOND = "* * * * * *"
MINUTELY = "* * * * *"
SIX_HOURS = 6 * 3600
SHORT_SECONDS, SHORT_SCHEDULES = 10.0, 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """One line: what was measured, what was wanted, and whether it was met (None: nothing was wanted)."""

    what: str
    measured: str
    goal: str = ""
    is_met: bool | None = None

    @property
    def line(self) -> str:
        mark = {None: "", True: "met", False: "MISSED"}[self.is_met]
        return f"| {self.what} | {self.measured} | {self.goal} | {mark} |"


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


def lateness(bench: Bench, seconds: float) -> Iterator[Figure]:
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
    yield Figure(f"lateness of {ticks} ticks, one a second, with an idle beat", figures, "p99 ≤ 100 ms", p99 <= 100)
    yield Figure("CPU of the beat for it", f"{cpu / ticks * 1000:.1f} ms a tick")


def many(bench: Bench, count: int) -> Iterator[Figure]:
    """Very many schedules that are due at the same moment, the first that finds all of them listed."""
    bench.schedule(count, MINUTELY)
    with bench.beats(1) as (beat,):
        wait_for(lambda: bench.ask("SELECT count(*) FROM periodic_tasks WHERE next_run_at IS NULL")[0] == 0)
        moment, wait = bench.ask(
            "SELECT moment, extract(epoch FROM moment - clock_timestamp())::float8"
            " FROM (SELECT date_trunc('minute', clock_timestamp() + interval '65 s') AS moment) AS next"
        )
        time.sleep(max(wait - 1.0, 0.0))
        (sessions,) = bench.ask(
            "SELECT array_agg(pid) FROM pg_stat_activity WHERE starts_with(application_name, 'beat-')"
        )
        before, before_server = cpu_seconds(beat.pid), sum(map(cpu_seconds, sessions))
        wait_for(lambda: bench.ask("SELECT count(*) FROM reproq_ticks WHERE due_at = %s", moment)[0] >= count)
        (took,) = bench.ask("SELECT extract(epoch FROM clock_timestamp() - %s)::float8", moment)
        time.sleep(1.0)  # it still tells what it has done
        cpu, cpu_server = cpu_seconds(beat.pid) - before, sum(map(cpu_seconds, sessions)) - before_server
        memory = resident_mb(beat)
    yield Figure(f"{count:,} schedules due at once, until all are enqueued", f"{took:.1f} s", "≤ 5 s", took <= 5)
    yield Figure("CPU for it, of the beat and of its sessions in the server", f"{cpu:.2f} s, {cpu_server:.2f} s")
    yield Figure("memory of the beat at most", f"{memory:.0f} MB", "≤ 80 MB", memory <= 80)


def ten_beats(bench: Bench, seconds: float) -> Iterator[Figure]:
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
    yield Figure(
        f"ten beats for {seconds:.0f} s, five schedules of every second",
        f"{ticks} ticks, {runs} runs, {doubled} doubled, {gaps} missing",
        "a run a tick, none doubled or missing",
        runs == ticks >= 5 * seconds and doubled == gaps == 0,
    )


def after_six_hours(bench: Bench) -> Iterator[Figure]:
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
        once = [sys.executable, "-m", "reproq", "beat", "--once"]
        subprocess.run(once, env=bench.environment, check=True, capture_output=True)
        (runs,) = bench.ask("SELECT count(*) FROM task_runs")
        what = f"six hours missed by a schedule of every minute, catch_up={policy}"
        yield Figure(what, f"{runs} runs", str(expected), runs == expected)


def main() -> int:
    """Print a table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ("lateness", "many", "ten_beats", "after_six_hours")
    parser.add_argument("--short", action="store_true", help="less of everything, to see whether it works")
    parser.add_argument("--seconds", type=float, help="how long beats are watched (120)")
    parser.add_argument("--schedules", type=int, help="how many are due at once (10,000)")
    parser.add_argument("--only", choices=names, nargs="+", default=names)
    options = parser.parse_args()
    seconds = options.seconds or (SHORT_SECONDS if options.short else 120.0)
    schedules = options.schedules or (SHORT_SCHEDULES if options.short else 10_000)
    figures: list[Figure] = []
    print("| what | measured | goal | |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server")
        server.start()
        try:
            bench = Bench(server.conninfo("postgres"))
            subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], env=bench.environment, check=True)
            measures: dict[str, Callable[[], Iterator[Figure]]] = {
                "lateness": lambda: lateness(bench, seconds),
                "many": lambda: many(bench, schedules),
                "ten_beats": lambda: ten_beats(bench, seconds),
                "after_six_hours": lambda: after_six_hours(bench),
            }
            for name in options.only:
                for figure in measures[name]():
                    print(figure.line, flush=True)
                    figures.append(figure)
        finally:
            server.stop("immediate")
    return int(any(figure.is_met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
