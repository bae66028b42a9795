"""The server crashes between a claim and its end, again and again: claims are forgotten, runs are claimed anew while
their first executions go on, and no result of an earlier claim may end a newer one."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.chaos.checks import judge
from tests.acceptance.chaos.evidence import Evidence, gather
from tests.acceptance.chaos.world import World, wait_until
from tests.plugins.databases import roomy_memory

RUNS_A_STOP = 4
STEP_SECONDS = 0.5
"""Each run of a stop takes so much longer than the one before: some end while the server is away, some after it."""
PATIENCE_SECONDS = 60.0
MOST_STOPS_EACH = 5
"""A claim is on the disk, too, when somebody happened to commit behind it: then the server is stopped more often."""
FORGETFUL = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"}
"""What is committed asynchronously stays in memory for long, unless somebody commits otherwise: a crash forgets it."""
INSERT = (
    "INSERT INTO task_runs (task_path, args, max_attempts, backoff_seconds) SELECT 'tests.acceptance.chaos.tasks.work',"
    " json_build_array(%s || '-' || number, number * %s::float8), 9, '{0.2}' FROM generate_series(1, %s) AS number"
)
BY_LABEL = "SELECT count(*) FROM task_runs WHERE args ->> 0 LIKE %s || '-%%' AND {}"


@dataclass(slots=True)
class Stops:
    """What came of them: how many claims the server had forgotten, how many results came too late and were let
    fall, how many executions were stopped before they had one, and what must not be."""

    stops: int = 0
    forgotten: int = 0
    discarded: int = 0
    leases_lost: int = 0
    overlaps: int = 0
    late: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def repeat(times: int, say: Callable[[str], None] = lambda text: None) -> Stops:
    """Stop the server so often, each time while runs that have just been claimed are executed; and on, for a while, as
    long as it has forgotten no claim."""
    stops = Stops()
    with tempfile.TemporaryDirectory(prefix="reproq-chaos-", dir=roomy_memory(), ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        with World(Path(name), FORGETFUL).running() as world:
            world.open_workers(2)
            wait_until(PATIENCE_SECONDS, lambda: world.one("SELECT count(*) FROM reproq_workers") == 2)
            while stops.stops < times or (not stops.forgotten and stops.stops < MOST_STOPS_EACH * times):
                _stop_once(world, f"stop{stops.stops}", stops)
                say(f"stop {stops.stops}: {stops.forgotten} claims forgotten so far")
            stops.faults += [f"a worker ended with {code}" for code in world.stop_workers() if code]
            _judge(world, stops)
    return stops


def _stop_once(world: World, label: str, stops: Stops) -> None:
    marks = world.folder / "marks"
    with world.ask() as cursor:
        cursor.execute(INSERT, [label, STEP_SECONDS, RUNS_A_STOP])
    # Workers claim at once or at their next look; whoever has begun has been claimed.
    wait_until(PATIENCE_SECONDS, lambda: marks.exists() and f"began {label}-" in marks.read_text())
    world.server.stop("immediate")
    begun = sum(line.startswith(f"began {label}-") for line in marks.read_text().splitlines())
    world.server.start()
    known = world.one(BY_LABEL.format("attempts > 0"), label)
    assert known is not None, "a server that has started answers"
    stops.forgotten += max(0, begun - known)
    stops.stops += 1
    if not wait_until(PATIENCE_SECONDS, lambda: world.one(BY_LABEL.format("finished_at IS NULL"), label) == 0):
        stops.faults.append(f"runs of {label} are not finished")
    time.sleep(STEP_SECONDS)  # what an earlier claim still runs comes back late


def _judge(world: World, stops: Stops) -> None:
    evidence = gather(world.dsn, world.folder, crashes=stops.stops)
    verdicts = judge(_all_acknowledged(evidence))
    stops.late, stops.overlaps = verdicts.late, verdicts.overlaps
    stops.faults += verdicts.faults
    logs = "".join(path.read_text() for path in world.folder.glob("worker-*.log"))
    stops.discarded = logs.count("run.outcome_discarded")
    stops.leases_lost = logs.count("run.lease_lost")


def _all_acknowledged(evidence: Evidence) -> Evidence:
    """The rows were made by one statement that was answered."""
    evidence.ledger.acknowledged = {run.label: run.id for run in evidence.runs}
    return evidence
