"""Judges the evidence of a round: what must hold whatever has hit. Values in, sentences out; it asks nobody."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from itertools import pairwise

from tests.acceptance.chaos.evidence import Evidence, Run
from tests.acceptance.chaos.ledger import TICK, Mark

CLOCK_SECONDS = 0.002
"""What a moment may lose on its way: the database counts microseconds, Python's clock is read a moment before."""
ENDS_OF_TASKS = {"work": "SUCCESSFUL", "stumble": "SUCCESSFUL", "fail": "FAILED", "overrun": "FAILED"}
OWN_ERRORS = {"stumble": {"exception"}, "fail": {"exception"}, "overrun": {"timeout"}}
FROM_OUTSIDE = {"lease_expired", "released"}
"""Errors that a fault may give any run."""


@dataclass(slots=True)
class Verdicts:
    """Sentences about what must not be, by kind; and how many runs were executed twice at one time, which may be."""

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)
    never_committed: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    wrong_end: list[str] = field(default_factory=list)
    overlaps: int = 0

    @property
    def faults(self) -> list[str]:
        """All of them, each with its kind."""
        kinds = [one.name for one in fields(self) if one.name != "overlaps"]
        return [f"{kind}: {sentence}" for kind in kinds for sentence in getattr(self, kind)]


def judge(evidence: Evidence) -> Verdicts:
    """Every check."""
    by_label: dict[str, list[Run]] = defaultdict(list)
    executions: dict[int, list[Mark]] = defaultdict(list)
    for run in evidence.runs:
        if run.label != TICK:
            by_label[run.label].append(run)
    for mark in evidence.marks:
        executions[mark.run_id].append(mark)
    return Verdicts(
        lost=[*_lost(evidence, by_label)],
        twice=[*_twice(evidence, by_label), *_doubled_ticks(evidence)],
        miscounted=[fault for run in evidence.runs for fault in _miscounted(run, executions[run.id], evidence.crashes)],
        never_committed=[
            f"{label} was rolled back, and is there" for label in evidence.ledger.undone & by_label.keys()
        ],
        late=[*_late(evidence)],
        wrong_end=[fault for run in evidence.runs if run.finished for fault in _wrong_end(run)],
        overlaps=sum(_overlap(marks) for marks in executions.values()),
    )


def _lost(evidence: Evidence, by_label: dict[str, list[Run]]) -> Iterator[str]:
    for label, run_id in evidence.ledger.acknowledged.items():
        if run_id not in [run.id for run in by_label.get(label, ())]:
            yield f"{label} was acknowledged as run {run_id}, and is not there"
    for run in evidence.runs:
        if not run.finished:
            yield f"run {run.id} ({run.label}) stayed {run.status}"
    known = evidence.ledger.acknowledged.keys() | evidence.ledger.doubted | evidence.ledger.undone
    for label in by_label.keys() - known:
        yield f"{label} is there, and no producer knows of it: its ledger is lost"


def _twice(evidence: Evidence, by_label: dict[str, list[Run]]) -> Iterator[str]:
    for run_id, times in Counter(end.run_id for end in evidence.ends).items():
        if times > 1:
            yield f"run {run_id} was finished, or changed afterwards: {times} times"
    for run_id in {run.id for run in evidence.runs if run.finished} - {end.run_id for end in evidence.ends}:
        yield f"run {run_id} is finished, and no record says when: it was changed past the triggers"
    for label, runs in by_label.items():
        if len(runs) > 1:
            yield f"{label} was enqueued once, and is there {len(runs)} times"


def _doubled_ticks(evidence: Evidence) -> Iterator[str]:
    for moment, times in Counter(moment for moment, _ in evidence.ticks).items():
        if times > 1:
            yield f"the tick of {moment} was enqueued {times} times"
    runs = Counter(run_id for _, run_id in evidence.ticks)
    for run in evidence.runs:
        if run.label == TICK and runs[run.id] != 1:
            yield f"run {run.id} is of a schedule, and belongs to {runs[run.id]} ticks"


def _miscounted(run: Run, marks: list[Mark], crashes: int) -> Iterator[str]:
    """An attempt ends as one counted failure, as one release, or as the success; and each was claimed by somebody."""
    began = [mark for mark in marks if mark.word == "began"]
    told = f"run {run.id} ({run.label}): {run.attempts} attempts"
    if run.attempts != len(run.worker_ids):
        yield f"{told}, by {len(run.worker_ids)} workers"
    ended = run.failures + run.releases + (run.status == "SUCCESSFUL")
    if run.finished and run.attempts != ended:
        yield f"{told}, of which {run.failures} failed and {run.releases} were given back, status {run.status}"
    if run.failures != len(run.errors):
        yield f"{told}, {run.failures} of them failed, with {len(run.errors)} errors"
    if run.failures > run.max_attempts:
        yield f"{told}, {run.failures} of them failed, where {run.max_attempts} may"
    if len(began) > run.attempts + crashes:
        yield f"{told}, executed {len(began)} times, and the server forgot {crashes} times at the most"
    for attempt, worker_id in _witnessed(run):
        if not any((mark.attempt, mark.worker_id) == (attempt, worker_id) for mark in began):
            yield f"{told}; attempt {attempt} of {worker_id} ended as only an execution can, and there was none"


def _witnessed(run: Run) -> Iterator[tuple[int, str]]:
    """The attempts whose end only the task itself can have brought about."""
    for error in run.errors:
        if error["kind"] == "exception":
            yield error["attempt"], error["worker_id"]
    if run.status == "SUCCESSFUL" and run.worker_ids:
        yield run.attempts, run.worker_ids[-1]


def _late(evidence: Evidence) -> Iterator[str]:
    """What is stored under a claim is the value of an execution that began after it."""
    claimed = {end.run_id: end.claimed_at for end in evidence.ends}
    for run in evidence.runs:
        if run.status != "SUCCESSFUL" or run.value is None:
            continue
        claimed_at = claimed.get(run.id)
        if claimed_at is None or run.value["began"] < claimed_at - CLOCK_SECONDS:
            yield f"run {run.id} ({run.label}): claimed at {claimed_at}, stored is what began at {run.value['began']}"


def _wrong_end(run: Run) -> Iterator[str]:
    kinds = [error["kind"] for error in run.errors]
    told = f"run {run.id} ({run.label}, {run.task}) ended {run.status} after {', '.join(kinds) or 'no error'}"
    if strange := set(kinds) - FROM_OUTSIDE - OWN_ERRORS.get(run.task, set()):
        yield f"{told}: {', '.join(sorted(strange))} is none of its ends"
    taken_by_faults = run.status == "FAILED" and run.failures == run.max_attempts and kinds[-1] in FROM_OUTSIDE
    if run.status != ENDS_OF_TASKS.get(run.task) and not taken_by_faults:
        yield told
    if run.status == "SUCCESSFUL" and (run.value is None or run.value["label"] != run.label):
        yield f"{told} with the value {run.value}"


def _overlap(marks: list[Mark]) -> bool:
    """Whether two executions of one run were under way at one time, as far as their marks tell."""
    moments: dict[tuple[int, int], list[float]] = defaultdict(list)
    for mark in marks:
        moments[mark.pid, mark.attempt].append(mark.at)
    spans = sorted((min(times), max(times)) for times in moments.values())
    return any(later[0] < earlier[1] for earlier, later in pairwise(spans))
