"""What a run through the executor `pool` costs, without a database: in its child, and in the worker.

    PYTHONPATH=src python benchmarks/pool_cost.py [--runs 50000] [--rounds 5]

The task is a no-op of a Django project. `child` is the child's part alone, in one process: the bytes of a payload in,
those of the reply out. `pool` is two real children: the CPU of the worker's process (submit, step, take_ended) and that
of the children. Medians of the rounds; CPU, so that what else the machine does moves them little.
"""

import argparse
import os
import selectors
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from reproq.child.kernel import become_subreaper, children_of
from reproq.child.reply import MAX_RETURN_BYTES
from reproq.child.run import answer_with
from reproq.executors.environment import template_environment
from reproq.executors.pool import PoolExecutor
from reproq.lifecycle import Success
from reproq.loadtest.made_up import Shape, made_up
from reproq.spec import seed
from reproq.wire import Payload, Reply

TASK = "reproq_django.noop.do_nothing"
SETTINGS = "reproq_django.quickstart.settings"
CHILDREN = 2
IN_HAND = 1000
TICKS = os.sysconf("SC_CLK_TCK")


def payloads(count: int) -> list[Payload]:
    """What a worker makes of so many claimed runs of the no-op task."""
    shape = Shape(task_path=TASK, seed=1, queues=("default",), priorities=(0,), later_percent=0.0, payload_size=100)
    return [
        Payload(
            run_id=number, result_id=f"{number}-{number:016x}", backend="default", attempt=1, max_attempts=3,
            task_path=TASK, args_json=run.spec.args_json, kwargs_json=run.spec.kwargs_json,
            spec_hash=run.spec.spec_hash, queue_name="default", priority=0, run_after=None,
            enqueued_at="2030-01-01T12:00:00.123456+00:00", started_at=None, last_attempted_at=None,
            worker_ids=("worker-host-1",), errors_json="[]", timeout_seconds=None, seed=seed(run.spec.spec_hash),
        )
        for number, run in enumerate(islice(made_up(shape), count))
    ]  # fmt: skip


def child_alone(rounds: int, runs: int) -> list[float]:
    """CPU microseconds a run of a child's part."""
    from reproq_django.many_runs import setup

    runner = setup()
    bodies = [payload.encode() for payload in payloads(runs)]
    found = []
    replies: list[bytes] = []

    def keep(reply: Reply) -> None:
        replies.append(reply.encode())

    for _ in range(rounds):
        replies.clear()
        began = time.process_time()
        for body in bodies:
            answer_with(body, runner, MAX_RETURN_BYTES, keep)
        found.append((time.process_time() - began) / runs * 1e6)
        if not all(reply.startswith(b'{"ok":true') for reply in replies):
            raise SystemExit(f"a run has failed, so the figures would mean nothing: {replies[0]!r}")
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of these processes."""
    stats = [Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split() for pid in pids]
    return sum(int(ticks) for stat in stats for ticks in stat[11:13]) / TICKS


def through_a_pool(rounds: int, runs: int) -> Iterator[tuple[float, float, float]]:
    """CPU microseconds a run of the worker and of its children, and runs a second."""
    executor = PoolExecutor(
        "reproq_django.many_runs:setup",
        concurrency=CHILDREN,
        environment=template_environment(os.environ),
        path=tuple(sys.path),
        max_runs=0,
    )
    selector = selectors.DefaultSelector()
    executor.start(selector)
    try:
        _drain(executor, selector, payloads(1000))
        children = children_of(executor.template_pid or 0)
        for _ in range(rounds):
            made = payloads(runs)
            before = time.process_time(), cpu_seconds(children), time.perf_counter()
            _drain(executor, selector, made)
            after = time.process_time(), cpu_seconds(children), time.perf_counter()
            ours, theirs, wall = (new - old for new, old in zip(after, before, strict=True))
            yield ours / runs * 1e6, theirs / runs * 1e6, runs / wall
    finally:
        executor.close()


def _drain(executor: PoolExecutor, selector: selectors.BaseSelector, made: list[Payload]) -> None:
    """Run all of them, with a worker's number in hand."""
    waiting, done = iter(made), 0
    while done < len(made):
        if executor.ready and (room := IN_HAND - executor.running) >= IN_HAND // 2:
            for payload in islice(waiting, room):
                executor.submit((payload.run_id, 1), payload)
        due_s = executor.deadline()
        for key, _ in selector.select(1.0 if due_s is None else min(1.0, max(0.0, due_s - time.monotonic()))):
            key.data()
        executor.tick()
        for ended in executor.take_ended():
            if not isinstance(ended.outcome, Success):
                raise SystemExit(f"a run has failed, so the figures would mean nothing: {ended}")
            done += 1


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reproq-bench-") as folder:
        os.environ |= {"REPROQ_DEMO_FOLDER": f"{folder}/server", "DJANGO_SETTINGS_MODULE": SETTINGS}
        become_subreaper()
        pool = list(through_a_pool(options.rounds, options.runs))
        alone = child_alone(options.rounds, options.runs)
    worker, children, rate = (statistics.median(column) for column in zip(*pool, strict=True))
    table = Table("what", "CPU us / run", "runs/s")
    table.add_row("child's part alone, in one process", f"{statistics.median(alone):.1f}", "")
    table.add_row("pool: a child", f"{children:.1f}", "")
    table.add_row("pool: the executor's part of the worker", f"{worker:.1f}", "")
    table.add_row(f"pool: {CHILDREN} children", "", f"{rate:,.0f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
