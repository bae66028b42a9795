"""What pruning sustains, and what it costs claims meanwhile. Run: python benchmarks/prune.py

An embedded server of its own, in a temporary folder, with a history whose age is up (one run in twenty is FAILED, and
kept), and 5,000 runs a second that one connection enqueues, claims and finalises in batches, as a worker's store does.
In turns, `--seconds` each: nothing else; the same connection prunes, too, by the worker's own duty with its rests.
Claims are judged by the backend's CPU for each and by the time that a batch took (medians), pruning by what it deleted.
Vacuum runs as the server thinks fit.
"""

import argparse
import itertools
import os
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from store_batches import SUCCESS, end, migrated

from reproq.config import Config
from reproq.loadtest.made_up import Shape, made_up
from reproq.retention import retention
from reproq.store import claims
from reproq.store.db import Database
from reproq.store.finalising import finalize
from reproq.store.runs import NewRun, enqueue_many
from reproq.telemetry.events import Telemetry
from reproq.worker.pruning import Pruning

BATCH = 100
GOAL_DELETED = 2.0
GOAL_SLOWER = 1.1
HISTORY = """
INSERT INTO task_runs (
    task_path, args, spec_hash, due_at, enqueued_at, status, attempts, worker_ids, started_at, last_attempted_at,
    finished_at, return_value, failures
)
SELECT
    'app.tasks.parse', json_build_array('module_' || i, i), encode(sha256(i::text::bytea), 'hex'), moment, moment,
    CASE WHEN fails THEN 'FAILED' ELSE 'SUCCESSFUL' END, 1, '{w-1}', moment, moment, moment,
    CASE WHEN NOT fails THEN '{"lines": 120}'::json END, fails::int
FROM (
    SELECT i, now() - interval '40 days' + i * interval '0.2 ms' AS moment, i % 20 = 0 AS fails
    FROM generate_series(1, {runs}) i
) AS made
"""
LOGS = """
INSERT INTO reproq_logs (run_id, attempt, head, bytes_total)
SELECT id, 1, 'a line that the task printed', 28 FROM task_runs WHERE id % 10 = 0
"""


@dataclass(slots=True)
class Turn:
    """What happened in one turn. Times are milliseconds of single claims and finalises."""

    seconds: float = 0.0
    runs: int = 0
    deleted: int = 0
    steps_ms: list[float] = field(default_factory=list)
    claims_ms: list[float] = field(default_factory=list)
    claims_cpu_s: float = 0.0
    prune_cpu_s: float = 0.0


def backend_cpu_seconds(pid: int) -> float:
    """CPU of one server process so far, to the nanosecond that the scheduler counts."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def take_turn(
    database: Database, specs: "itertools.chain[NewRun]", seconds: float, rate: int, pruning: Pruning | None
) -> Turn:
    """Claims at the rate, with or without pruning between them, on one connection."""
    turn, pid = Turn(), database.connected().info.backend_pid
    began = time.monotonic()
    for number in range(int(seconds * rate / BATCH)):
        while (now := time.monotonic()) < began + number * BATCH / rate:
            if pruning is None or not prune_once(database, pruning, turn, pid, now):
                time.sleep(min(0.001, began + number * BATCH / rate - now))
        if pruning is not None:
            prune_once(database, pruning, turn, pid, now)
        with database.transaction() as cursor:
            enqueue_many(cursor, list(itertools.islice(specs, BATCH)))
        cpu, asked = backend_cpu_seconds(pid), time.perf_counter()
        with database.transaction() as cursor:
            claimed = claims.claim(
                cursor, queues=["default"], limit=BATCH, token=number + 1, worker_id="bench", lease_seconds=30.0
            )
        with database.transaction() as cursor:
            finalize(cursor, [end(one, SUCCESS) for one in claimed], time.monotonic())
        turn.claims_ms.append((time.perf_counter() - asked) * 1000)
        turn.claims_cpu_s += backend_cpu_seconds(pid) - cpu
        turn.runs += len(claimed)
    turn.seconds = time.monotonic() - began
    return turn


def prune_once(database: Database, pruning: Pruning, turn: Turn, pid: int, now: float) -> bool:
    """One step of the duty, if it is due."""
    for request in pruning.requests(now):
        cpu = backend_cpu_seconds(pid)
        answer = request.run(database, None)
        turn.prune_cpu_s += backend_cpu_seconds(pid) - cpu
        turn.steps_ms.append(answer.took_seconds * 1000)
        turn.deleted += answer.deleted
        pruning.on_pruned(answer, time.monotonic())
        return True
    return False


def show(name: str, turns: list[Turn]) -> tuple[float, float]:
    """One line; the medians of CPU and time of a claim of BATCH with its finalise."""
    cpu = statistics.median(turn.claims_cpu_s / turn.runs * 1e6 for turn in turns)
    took = statistics.median(itertools.chain.from_iterable(turn.claims_ms for turn in turns))
    seconds = sum(turn.seconds for turn in turns)
    line = f"{name:16} {sum(turn.runs for turn in turns) / seconds:>8,.0f} {cpu:>12.1f} {took:>14.2f}"
    if steps := list(itertools.chain.from_iterable(turn.steps_ms for turn in turns)):
        deleted, prune_cpu = sum(turn.deleted for turn in turns), sum(turn.prune_cpu_s for turn in turns)
        line += f" {deleted / seconds:>10,.0f} {prune_cpu / deleted * 1e6:>11.1f} {statistics.median(steps):>9.2f}"
    print(line, flush=True)
    return cpu, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", type=int, default=18, choices=(15, 16, 18))
    parser.add_argument("--history", type=int, default=500_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=int, default=5000, help="runs a second that are claimed and finalised")
    parser.add_argument("--turns", type=int, default=6)
    given = parser.parse_args()
    with migrated(given.postgres) as dsn:
        with psycopg.connect(dsn, autocommit=True) as pg:
            pg.execute(HISTORY.replace("{runs}", str(given.history)))
            pg.execute(LOGS)
            pg.execute("VACUUM ANALYZE task_runs, reproq_logs")
        database = Database(dsn, "bench")
        shape = Shape(
            task_path="app.tasks.parse",
            seed=1,
            queues=("default",),
            priorities=(0,),
            later_percent=0.0,
            payload_size=100,
        )
        specs = itertools.chain(made_up(shape))
        config = Config(retention=retention("successful=30d,failed=90d"), prune_interval=0.1)
        pruning = Pruning(config, Telemetry(), lambda: 0.5, time.monotonic())
        alone, beside = [], []
        take_turn(database, specs, given.seconds, given.rate, None)  # warms up
        for _ in range(given.turns):
            alone.append(take_turn(database, specs, given.seconds, given.rate, None))
            beside.append(take_turn(database, specs, given.seconds, given.rate, pruning))
        database.close()
    print(f"{given.history:,} ended runs, batches of {BATCH}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    heads = ("", 16), ("runs/s", 8), ("claim CPU us", 12), ("ms a batch", 14), ("deleted/s", 10), ("CPU us each", 11)
    print(*(f"{name:>{width}}" for name, width in (*heads, ("ms a step", 9))))
    before, after = show("claims alone", alone), show("and pruning", beside)
    ratio = sum(turn.deleted for turn in beside) / sum(turn.runs for turn in beside)
    print(f"deleted for each run that ended: {ratio:.2f} (goal {GOAL_DELETED})")
    print(f"claims: CPU x {after[0] / before[0]:.3f}, time x {after[1] / before[1]:.3f} (goal {GOAL_SLOWER})")


if __name__ == "__main__":
    main()
