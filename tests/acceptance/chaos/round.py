"""One round: the faults of a seed hit real workers while producers enqueue; then faults stop, everything is finished,
and what has been left is judged."""

import heapq
import json
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.acceptance.chaos.checks import Verdicts, judge
from tests.acceptance.chaos.evidence import Evidence, gather
from tests.acceptance.chaos.faults import REGISTERED, Faults
from tests.acceptance.chaos.plan import WORKERS, Blow, minimum, plan
from tests.acceptance.chaos.world import END_SECONDS, TIMES, World, wait_until
from tests.acceptance.workers import reproq
from tests.plugins.databases import roomy_memory

RUNS_IN_FIVE_MINUTES = 10_500
PRODUCERS = 2
WATCH_SECONDS = 0.5
START_SECONDS = 60.0
PATIENCE_SECONDS = 60.0
"""How long what is left may take when faults have stopped, beside as long again as the round took."""
FLAT_KILOBYTES = 16 * 1024
UNDER_WAY = f"SELECT count(*) = {WORKERS} AND EXISTS (SELECT FROM task_runs) FROM reproq_workers"
UNFINISHED = "SELECT count(*) FROM task_runs WHERE finished_at IS NULL"

Say = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """What came of a round. `faults` are sentences; without any, it has passed."""

    seed: int
    seconds: float
    runs: int = 0
    attempts: int = 0
    rescues: int = 0
    hits: dict[str, int] = field(default_factory=dict)
    lost_answers: int = 0
    restarts: int = 0
    in_doubt: int = 0
    verdicts: Verdicts = field(default_factory=Verdicts)
    growth_kilobytes: int = 0
    drained_seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; of the verdicts, how many there are of each."""
        counted = {
            name: value if isinstance(value, int) else len(value) for name, value in asdict(self.verdicts).items()
        }
        return asdict(self) | {"verdicts": counted}


def play(seed: int, seconds: float, say: Say = lambda text: None, keep: Path | None = None) -> Outcome:
    """Play the round of this seed. `keep`: where a folder of its logs is left if it has not passed."""
    outcome = Outcome(seed, seconds)
    with tempfile.TemporaryDirectory(prefix="reproq-chaos-", dir=roomy_memory(), ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # the server's user passes through
        with World(Path(name)).running() as world:
            evidence = _play(world, outcome, say)
            outcome.faults += [*outcome.verdicts.faults, *shortfalls(outcome)]
            if outcome.faults and keep is not None:
                _keep(world, evidence, outcome, keep)
    return outcome


def _play(world: World, outcome: Outcome, say: Say) -> Evidence:
    world.start_schedule()
    world.open_workers()
    rate = RUNS_IN_FIVE_MINUTES / 300 / PRODUCERS
    for number in range(PRODUCERS):
        world.start_producer(f"p{number}", outcome.seed, rate)
    if not wait_until(START_SECONDS, lambda: world.one(UNDER_WAY)):
        raise AssertionError("workers and producers have not started")
    faults = Faults(world)
    _follow_the_plan(world, faults, outcome, say)
    say("faults stop; what is left is finished")
    faults.stop()
    _settle(world, outcome)
    say(f"all is finished {outcome.drained_seconds} s later")
    evidence = gather(world.dsn, world.folder, faults.crashes)
    _count(evidence, faults, outcome)
    outcome.verdicts = judge(evidence)
    return evidence


def _follow_the_plan(world: World, faults: Faults, outcome: Outcome, say: Say) -> None:
    """Strike, and end what lasts, each at its moment; look after the workers in between."""
    began_s, order = time.monotonic(), count()
    agenda: list[tuple[float, int, Callable[[], Any], str]] = []

    def at(moment_s: float, what: Callable[[], Any], words: str) -> None:
        heapq.heappush(agenda, (moment_s, next(order), what, words))

    for event in plan(outcome.seed, outcome.seconds):
        at(began_s + event.at_s, lambda event=event: faults.strike(event), str(event))
    at(began_s + outcome.seconds, lambda: None, "")
    while agenda:
        moment_s, _, what, words = heapq.heappop(agenda)
        while (left := moment_s - time.monotonic()) > 0:
            time.sleep(min(left, WATCH_SECONDS))
            world.look_after_workers()
        if words:
            say(words)
        if (undo := what()) is not None:
            at(time.monotonic() + undo[0], undo[1], "")


def _settle(world: World, outcome: Outcome) -> None:
    """Everything is finished, and everybody goes."""
    began_s = time.monotonic()
    world.server.start()
    wait_until(START_SECONDS, lambda: world.one("SELECT 1"))  # it may be recovering from the last blow
    world.stop_schedule()
    expected = [*_codes("a producer", world.stop_producers())]

    def finished() -> bool:
        world.look_after_workers()
        return world.one(UNFINISHED) == 0

    wait_until(PATIENCE_SECONDS + outcome.seconds, finished)
    wait_until(START_SECONDS, lambda: not _absent(world))
    expected += [f"worker {number} has not come back to the database" for number in _absent(world)]
    outcome.drained_seconds = round(time.monotonic() - began_s, 1)
    outcome.growth_kilobytes = world.steady_growth_kilobytes()
    expected += _codes("a worker", world.stop_workers())
    for number, worker in enumerate(world.workers):
        expected += [f"worker {number} ended by itself, with {code}" for code in worker.exits]
    wait_until(END_SECONDS, lambda: not world.left_processes())
    if left := world.left_processes():
        expected.append(f"processes are left: {left}")
    outcome.faults += [*expected, *_verified(world)]


def _absent(world: World) -> list[int]:
    """The places whose workers the database does not know."""
    pids = [worker.process.pid if worker.process else 0 for worker in world.workers]
    return [number for number, pid in enumerate(pids) if not world.one(REGISTERED, pid)]


def _codes(who: str, codes: list[int]) -> list[str]:
    return [f"{who} that was told to end did so with {code}" for code in codes if code]


def _verified(world: World) -> list[str]:
    try:
        told = reproq(world.dsn, "verify", "--all", *TIMES[:4], check=False)
    except subprocess.TimeoutExpired:
        return ["verify: no answer"]
    return [] if told.returncode == 0 else [f"verify ends with {told.returncode}: {told.stdout}{told.stderr}"]


def _count(evidence: Evidence, faults: Faults, outcome: Outcome) -> None:
    kinds = Counter(error["kind"] for run in evidence.runs for error in run.errors)
    outcome.runs = len(evidence.runs)
    outcome.attempts = sum(run.attempts for run in evidence.runs)
    outcome.rescues = kinds["lease_expired"]
    outcome.hits = {str(blow): faults.hits[blow] for blow in Blow}
    outcome.lost_answers = faults.lost_answers().total()
    outcome.restarts = sum(faults.hits[blow] for blow in (Blow.RESTART_FAST, Blow.RESTART_IMMEDIATE))
    outcome.in_doubt = len(evidence.ledger.doubted)


def shortfalls(outcome: Outcome) -> list[str]:
    """Where too little has hit to show anything, and where memory was not flat."""
    least = minimum(outcome.seconds)
    reached = {
        "rescues": (outcome.rescues, least.rescues),
        "lost answers": (outcome.lost_answers, least.lost_answers),
        "restarts": (outcome.restarts, least.restarts),
    }
    short = [f"{name}: {got}, where a round needs {need}" for name, (got, need) in reached.items() if got < need]
    if outcome.growth_kilobytes > FLAT_KILOBYTES:
        short.append(f"the worker that was never replaced grew by {outcome.growth_kilobytes} kB")
    return short


def _keep(world: World, evidence: Evidence, outcome: Outcome, folder: Path) -> None:
    """The logs, the ledgers and the rows, for whoever looks for the reason."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in [
        *world.folder.glob("*.log"),
        *world.folder.glob("ledger-*"),
        *world.folder.glob("marks"),
        world.server.log,
    ]:
        (folder / path.name).write_bytes(path.read_bytes())
    rows = [asdict(run) for run in evidence.runs]
    (folder / "runs.json").write_text(json.dumps(rows, indent=1, default=str))
    (folder / "outcome.json").write_text(json.dumps(outcome.as_dict(), indent=1))
