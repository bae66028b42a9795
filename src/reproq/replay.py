"""Replay: run a spec again, and compare what came out.

A replay is a new run with the stored texts of the old one, so that it has the same spec_hash by construction.
"""

import json
from dataclasses import dataclass
from enum import StrEnum

from reproq.errors import RunNotFound
from reproq.lifecycle import Status
from reproq.store import runs
from reproq.store.insight import RunDetail
from reproq.store.statements import Cursor


class Sameness(StrEnum):
    """What a comparison says."""

    SAME = "SAME"
    DIFFERS = "DIFFERS"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two finished runs of one spec, side by side."""

    sameness: Sameness
    before: str
    after: str


def replay(cursor: Cursor, *, run_id: int | None = None, spec_hash: str | None = None) -> tuple[int, int]:
    """Enqueue a run again, by its id or as the newest finished run of a spec: `(old id, new id)`.

    Raises RunNotFound.
    """
    if run_id is None:
        if spec_hash is None:
            raise RunNotFound("give a run's id or a spec hash")
        run_id = runs.latest_of_spec(cursor, spec_hash)
    new_id, _ = runs.requeue(cursor, run_id)
    return run_id, new_id


def compare(before: RunDetail, after: RunDetail) -> Comparison:
    """Whether two finished runs ended alike: the same status, and the same value or the same class of error."""
    ends = _end(before), _end(after)
    return Comparison(Sameness.SAME if ends[0] == ends[1] else Sameness.DIFFERS, *ends)


def _end(run: RunDetail) -> str:
    if run.status == Status.SUCCESSFUL:
        return f"{run.status} {run.return_json}"
    errors = json.loads(run.errors_json)
    return f"{run.status} {errors[-1]['exception_class']}" if errors else run.status
