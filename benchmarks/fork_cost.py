"""What a run through ForkExecutor costs, as a multiple of a bare fork-and-wait of a process with the same imports.

    PYTHONPATH=src python benchmarks/fork_cost.py [--runs 2000] [--rounds 5] [--weight django]

Both sides are measured in turns, round by round, so that a noisy machine hurts both; the table shows medians. CPU is
that of template and children (user and system, from /proc), wall is per run, one after the other.
"""

import argparse
import os
import selectors
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reproq.child.kernel import become_subreaper
from reproq.child.reply import encode_return
from reproq.child.run import Runner
from reproq.executors.environment import template_environment
from reproq.executors.fork import ForkExecutor
from reproq.lifecycle import Failure, Success
from reproq.spec import hash_document
from reproq.wire import Payload

HERE = Path(__file__).resolve()
TICKS = os.sysconf("SC_CLK_TCK")


def setup_bare() -> Runner:
    return run


def setup_django() -> Runner:
    """As many modules as a small Django project has."""
    from django.conf import settings

    apps = ["admin", "auth", "contenttypes", "sessions", "messages"]
    databases = {"default": {"ENGINE": "django.db.backends.postgresql"}}
    settings.configure(INSTALLED_APPS=[f"django.contrib.{app}" for app in apps], DATABASES=databases)
    import django

    django.setup()
    return run


def run(message: dict[str, Any]) -> Success | Failure:
    return encode_return(None)


def bare_fork_and_wait(weight: str) -> None:
    """The yardstick: the imports of a template, frozen as its are; then forks and waits, as many as stdin asks for."""
    from reproq.child import rehearsal

    globals()[f"setup_{weight}"]()
    rehearsal.rehearse(1 << 20)
    rehearsal.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        print("done", flush=True)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its reaped children, by the scheduler's own count where there is one."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICKS


def payload(number: int) -> Payload:
    args = '[1,"two",{"three":3}]'
    return Payload(
        run_id=number, result_id=f"{number}-0000000000000000", backend="default", attempt=1, max_attempts=3,
        task_path="tasks.nothing", args_json=args, kwargs_json="{}",
        spec_hash=hash_document("tasks.nothing", args, "{}"), queue_name="default", priority=0, run_after=None,
        enqueued_at="2030-01-01T00:00:00+00:00", started_at=None, last_attempted_at=None, worker_ids=("w-1",),
        errors_json="[]", timeout_seconds=None, seed=1,
    )  # fmt: skip


class Side:
    """One of the two things measured: `go(n)` does n of them in the processes below `pid`."""

    def __init__(self, name: str, pid: int, go: Callable[[int], None]) -> None:
        self.name, self.pid, self.go = name, pid, go
        self.cpu_us: list[float] = []
        self.wall_us: list[float] = []

    def measure(self, runs: int) -> None:
        cpu, wall = cpu_seconds(self.pid), time.monotonic()
        self.go(runs)
        self.wall_us.append((time.monotonic() - wall) / runs * 1e6)
        self.cpu_us.append((cpu_seconds(self.pid) - cpu) / runs * 1e6)


class Loop:
    """The smallest worker: `width` runs under way at a time."""

    def __init__(self, weight: str, environment: dict[str, str], width: int) -> None:
        self.executor = ForkExecutor(f"fork_cost:setup_{weight}", environment=environment)
        self.selector = selectors.DefaultSelector()
        self.width = width
        self.executor.start(self.selector)
        while not self.executor.ready:
            self.step()

    def step(self) -> None:
        for found, _ in self.selector.select(1):
            found.data()
        self.executor.tick()

    def go(self, runs: int) -> None:
        submitted = done = 0
        while done < runs:
            while submitted < runs and submitted - done < self.width:
                submitted += 1
                self.executor.submit((submitted, 1), payload(submitted))
            self.step()
            for ended in self.executor.take_ended():
                assert isinstance(ended.outcome, Success), ended
                done += 1


def compare(weight: str, runs: int, rounds: int) -> list[Side]:
    paths = os.pathsep.join([str(HERE.parent.parent / "src"), str(HERE.parent)])
    environment = template_environment({"PATH": os.environ["PATH"], "PYTHONPATH": paths})
    command = [sys.executable, str(HERE), "--bare", weight]
    yardstick = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert yardstick.stdin is not None
    assert yardstick.stdout is not None
    yardstick.stdout.readline()

    def bare(count: int) -> None:
        assert yardstick.stdin is not None
        assert yardstick.stdout is not None
        yardstick.stdin.write(f"{count}\n")
        yardstick.stdout.readline()

    loop = Loop(weight, environment, 1)
    assert loop.executor.template_pid is not None
    sides = [Side("fork and wait", yardstick.pid, bare), Side("ForkExecutor", loop.executor.template_pid, loop.go)]
    for side in sides:
        side.go(100)
    for _ in range(rounds):
        for side in sides:
            side.measure(runs)
    loop.executor.close()
    yardstick.stdin.close()
    yardstick.stdout.close()
    yardstick.wait()
    return sides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000, help="in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weight", choices=["bare", "django"], action="append")
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare_fork_and_wait(options.bare)
        return
    become_subreaper()
    print(f"{'imports':8} {'what':14} {'CPU us/run':>10} {'ratio':>6} {'wall us/run':>12} {'ratio':>6}")
    for weight in options.weight or ["bare", "django"]:
        sides = compare(weight, options.runs, options.rounds)
        cpu, wall = statistics.median(sides[0].cpu_us), statistics.median(sides[0].wall_us)
        for side in sides:
            own_cpu, own_wall = statistics.median(side.cpu_us), statistics.median(side.wall_us)
            row = f"{weight:8} {side.name:14} {own_cpu:10.0f} {own_cpu / cpu:6.2f}"
            print(f"{row} {own_wall:12.0f} {own_wall / wall:6.2f}")


if __name__ == "__main__":
    main()
