"""Gathers what a round has left: the rows, the record beside them, the producers' ledgers, the marks of the tasks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.acceptance.chaos.ledger import Ledger, Mark, read_ledgers, read_marks

RUNS = (
    "SELECT id, args ->> 0, split_part(task_path, '.', -1), status, attempts, failures, releases, max_attempts,"
    " worker_ids, errors, return_value, finished_at IS NOT NULL FROM task_runs ORDER BY id"
)
ENDS = "SELECT run_id, status, attempts, extract(epoch FROM claimed_at)::float8 FROM chaos_ends ORDER BY at"
TICKS = "SELECT due_at::text, run_id FROM reproq_ticks WHERE run_id IS NOT NULL ORDER BY due_at"


@dataclass(frozen=True, slots=True)
class Run:
    """One row of `task_runs`; `task` is the task's name."""

    id: int
    label: str
    task: str
    status: str
    attempts: int
    failures: int
    releases: int
    max_attempts: int
    worker_ids: list[str]
    errors: list[dict[str, Any]]
    value: dict[str, Any] | None
    finished: bool


@dataclass(frozen=True, slots=True)
class End:
    """One line of the record: a row became a finished one, or was changed as one. `claimed_at`: seconds since 1970."""

    run_id: int
    status: str
    attempts: int
    claimed_at: float | None


@dataclass(slots=True)
class Evidence:
    """Everything. `crashes`: how often the server lost what it had not written, and may have forgotten claims."""

    runs: list[Run]
    ends: list[End]
    ledger: Ledger
    marks: list[Mark] = field(default_factory=list)
    crashes: int = 0
    ticks: list[tuple[str, int]] = field(default_factory=list)
    """The moments at which a schedule has enqueued, each with the run."""


def gather(dsn: str, folder: Path, crashes: int) -> Evidence:
    """All evidence of a round that is over."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        runs = [Run(*row) for row in connection.execute(RUNS).fetchall()]
        ticks = connection.execute(TICKS).fetchall()
        ends = [End(*row) for row in connection.execute(ENDS).fetchall()]
    return Evidence(runs, ends, read_ledgers(folder), read_marks(folder), crashes, ticks)
