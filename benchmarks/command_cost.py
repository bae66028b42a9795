"""What a run through the executor command costs, as a multiple of a bare spawn of the same program.

    PYTHONPATH=src python benchmarks/command_cost.py [--runs 300] [--rounds 9]

Bare is `subprocess.run` with the payload on stdin and both outputs read, as a worker of one's own would do it. Both
sides are measured in turns, round by round, so that a noisy machine hurts both; the table shows medians. CPU is that of
this process and of the programs it has reaped.
"""

import argparse
import os
import resource
import selectors
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from reproq.child.kernel import become_subreaper
from reproq.executors.command import CommandExecutor
from reproq.executors.environment import command_environment, template_environment
from reproq.executors.launched import Limits
from reproq.lifecycle import Success
from reproq.spec import hash_document
from reproq.wire import Payload

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
GOAL = 1.3
TASK = "media.resize"
ARGS = {"line of shell": "[]", "resize.sh": "[640]", "slug.mjs": '["Two words"]'}


def payload(program: str, number: int) -> Payload:
    """A payload that the example accepts."""
    args = ARGS[program]
    return Payload(
        run_id=number, result_id=f"{number}-0000000000000000", backend="default", attempt=1, max_attempts=3,
        task_path=TASK, args_json=args, kwargs_json="{}", spec_hash=hash_document(TASK, args, "{}"),
        queue_name="default", priority=0, run_after=None, enqueued_at="2030-01-01T00:00:00+00:00", started_at=None,
        last_attempted_at=None, worker_ids=("w-1",), errors_json="[]", timeout_seconds=None, seed=1,
    )  # fmt: skip


@dataclass(slots=True)
class Side:
    """One of the two things measured: `go(n)` does n of them, one after the other."""

    name: str
    go: Callable[[int], None]
    cpu_us: list[float] = field(default_factory=list)
    wall_us: list[float] = field(default_factory=list)

    def measure(self, runs: int) -> None:
        """One round."""
        cpu, wall = cpu_seconds(), time.perf_counter()
        self.go(runs)
        self.wall_us.append((time.perf_counter() - wall) / runs * 1e6)
        self.cpu_us.append((cpu_seconds() - cpu) / runs * 1e6)


def cpu_seconds() -> float:
    """User and system time of this process and of the children that it has reaped."""
    own, reaped = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + reaped.ru_utime + reaped.ru_stime


def bare(program: str, argv: list[str]) -> Side:
    """The yardstick: the same program, payload and environment."""
    body, environment = payload(program, 1).encode(), {**command_environment(os.environ), "REPROQ_RUN_ID": "1"}

    def go(runs: int) -> None:
        for _ in range(runs):
            subprocess.run(argv, input=body, capture_output=True, env=environment, check=True)

    return Side("bare", go)


class Loop:
    """The smallest worker: one run at a time."""

    def __init__(self, program: str, argv: list[str]) -> None:
        self.program = program
        self.executor = CommandExecutor(
            [(TASK, tuple(argv))], environment=template_environment(os.environ), limits=Limits()
        )
        self.selector = selectors.DefaultSelector()
        self.executor.start(self.selector)

    def go(self, runs: int) -> None:
        """Submit and await so many runs."""
        claimed = payload(self.program, 1)
        for number in range(runs):
            self.executor.submit((number, 1), claimed)
            while not (ended := self.executor.take_ended()):
                for found, _ in self.selector.select(1):
                    found.data()
                self.executor.tick()
            assert isinstance(ended[0].outcome, Success), ended


def compare(program: str, argv: list[str], runs: int, rounds: int) -> list[Side]:
    """Both sides, measured in turns."""
    loop = Loop(program, argv)
    sides = [bare(program, argv), Side("executor command", loop.go)]
    for side in sides:
        side.go(20)
    for _ in range(rounds):
        for side in sides:
            side.measure(runs)
    loop.executor.close()
    return sides


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, help="in a round")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    become_subreaper()
    table = Table("program", "started by", "CPU µs / run", "ratio", "wall µs / run", "ratio", "goal")
    programs = [
        ("line of shell", ["/bin/sh", "-c", "read payload; echo 1"], options.runs),
        ("resize.sh", [str(EXAMPLES / "resize.sh")], options.runs),
    ]
    if node := shutil.which("node"):
        programs.append(("slug.mjs", [node, str(EXAMPLES / "slug.mjs")], max(1, options.runs // 10)))
    for program, argv, runs in programs:
        sides = compare(program, argv, runs, options.rounds)
        cpu, wall = statistics.median(sides[0].cpu_us), statistics.median(sides[0].wall_us)
        for side in sides:
            own_cpu, own_wall = statistics.median(side.cpu_us), statistics.median(side.wall_us)
            figures = [f"{own_cpu:,.0f}", f"{own_cpu / cpu:.2f}", f"{own_wall:,.0f}", f"{own_wall / wall:.2f}"]
            table.add_row(program, side.name, *figures, "" if side is sides[0] else f"≤ {GOAL}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
