"""What a run through ForkExecutor costs, as a multiple of a bare fork-and-wait of a process with the same imports.

    PYTHONPATH=src python benchmarks/fork_cost.py [--runs 500] [--rounds 5] [--weight project]

`tiny` is a fork-and-wait of an interpreter that has imported next to nothing, `bare` one of the template's image, `run`
a run through the executor: two at once and two forked ahead, as a worker with two CPUs has it. `project` is the no-op
Django task of loadgen in the quickstart project; the other weights run a function without Django in the child.

All are measured in turns, round by round, so that a noisy machine hurts all; the table shows medians. CPU is user and
system time from /proc, in microseconds a run, of the template, of its children, and of the process that has the
executor. Page faults do not depend on what else the machine does.
"""

import argparse
import os
import selectors
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from inspect import getsource
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
TASK = "reproq_django.noop.do_nothing"
SETTINGS = "reproq_django.quickstart.settings"
WIDTH = 2


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


def imports_of(weight: str) -> str:
    """The setup function of a template."""
    return "reproq_django.rehearsed:setup" if weight == "project" else f"fork_cost:setup_{weight}"


def template_image(weight: str) -> str:
    """A program that becomes what a template is when it begins to fork."""
    module, _, function = imports_of(weight).partition(":")
    return f"""
import reproq.child.template
from reproq.child import rehearsal, warming
from {module} import {function} as setup
rehearsal.rehearse(1 << 20, warming.warm_up_of(setup(), 1 << 20))
rehearsal.freeze()
"""


def fork_and_wait() -> None:
    """The yardstick: as often as each line of stdin says."""
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        print("done", flush=True)


@dataclass(frozen=True, slots=True)
class Cost:
    """What has been spent, or what a run costs: microseconds, and page faults."""

    template: float
    children: float
    template_faults: float
    child_faults: float
    worker: float
    wall: float

    def since(self, before: "Cost", runs: int) -> "Cost":
        pairs = zip(astuple(self), astuple(before), strict=True)
        return Cost(*((now - then) / runs for now, then in pairs))


def spent(pid: int) -> Cost:
    """What a process, its reaped children, and this process have used up."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    faults, child_faults, user, system, of_children, in_kernel = (int(fields[at]) for at in (7, 8, 11, 12, 13, 14))
    own, children = (user + system) / TICKS * 1e6, (of_children + in_kernel) / TICKS * 1e6
    return Cost(own, children, faults, child_faults, time.process_time() * 1e6, time.monotonic() * 1e6)


def payload(number: int) -> Payload:
    args = f'[1,{number},"{"x" * 90}"]'
    return Payload(
        run_id=number, result_id=f"{number}-0000000000000000", backend="default", attempt=1, max_attempts=3,
        task_path=TASK, args_json=args, kwargs_json="{}",
        spec_hash=hash_document(TASK, args, "{}"), queue_name="default", priority=0, run_after=None,
        enqueued_at="2030-01-01T00:00:00+00:00", started_at=None, last_attempted_at=None, worker_ids=("w-1",),
        errors_json="[]", timeout_seconds=None, seed=1,
    )  # fmt: skip


class Side:
    """One of the things measured: `go(n)` does n of them in the processes below `pid`."""

    def __init__(self, name: str, pid: int, go: Callable[[int], None], end: Callable[[], object]) -> None:
        self.name, self.pid, self.go, self.end = name, pid, go, end
        self.costs: list[Cost] = []

    def measure(self, runs: int) -> None:
        before = spent(self.pid)
        self.go(runs)
        self.costs.append(spent(self.pid).since(before, runs))

    def median(self) -> Cost:
        return Cost(*(statistics.median(values) for values in zip(*map(astuple, self.costs), strict=True)))


class Loop:
    """The smallest worker: `width` runs under way at a time."""

    def __init__(self, weight: str, environment: dict[str, str], width: int) -> None:
        self.executor = ForkExecutor(imports_of(weight), environment=environment, concurrency=width, forks_ahead=width)
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
            while submitted < runs and submitted - done < 2 * self.width:
                submitted += 1
                self.executor.submit((submitted, 1), payload(submitted))
            self.step()
            for ended in self.executor.take_ended():
                assert isinstance(ended.outcome, Success), ended
                done += 1


def bare(name: str, options: list[str], program: str, environment: dict[str, str]) -> Side:
    source = f"{program}import os, sys\n{getsource(fork_and_wait)}\nfork_and_wait()"
    command = [sys.executable, *options, "-c", source]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )

    def go(count: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{count}\n")
        process.stdout.readline()

    assert process.stdout is not None
    process.stdout.readline()
    return Side(name, process.pid, go, process.communicate)


def compare(weight: str, runs: int, rounds: int) -> list[Side]:
    paths = os.pathsep.join([str(HERE.parent.parent / "src"), str(HERE.parent)])
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "DJANGO_SETTINGS_MODULE": SETTINGS}
    environment = template_environment(own | {"DATABASE_URL": "postgres://nobody@localhost/nothing"})
    loop = Loop(weight, environment, WIDTH)
    assert loop.executor.template_pid is not None
    sides = [
        bare("tiny", ["-I", "-S"], "", environment),
        bare("bare", [], template_image(weight), environment),
    ]
    sides.append(Side("run", loop.executor.template_pid, loop.go, loop.executor.close))
    for side in sides:
        side.go(100)
    for _ in range(rounds):
        for side in sides:
            side.measure(runs)
    for side in sides:
        side.end()
    return sides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500, help="in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weight", choices=["bare", "django", "project"], action="append")
    options = parser.parse_args()
    become_subreaper()
    print("CPU us a run:               template children   both  ratio  worker   wall; faults: template  child")
    for weight in options.weight or ["bare", "django", "project"]:
        sides = compare(weight, options.runs, options.rounds)
        floor = sides[1].median()
        for side in sides:
            cost = side.median()
            both = cost.template + cost.children
            row = f"{weight:8} {side.name:17} {cost.template:9.0f} {cost.children:8.0f} {both:6.0f}"
            row += f" {both / (floor.template + floor.children):6.2f} {cost.worker:7.0f} {cost.wall:6.0f}"
            print(f"{row} {cost.template_faults:17.0f} {cost.child_faults:6.0f}")


if __name__ == "__main__":
    main()
