"""Proves, read-only, that the tables keep their promises. Each invariant is one SQL file in `invariants/`: its first
line is the claim, its rows are what contradicts it. This module knows when and over which runs to ask, and no promise.

- `invariants/each_run/` is asked about batches of runs, the newest first, a short transaction for each batch: no old
  snapshot is ever held.
- `invariants/now/` is asked about unfinished runs and workers, all in one repeatable-read transaction. These claims are
  about time passing, so a contradiction counts only if it is still there at a second look.
- `invariants/server/` is asked once: about the server, and about schedules and their ticks.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from importlib.resources import files
from typing import Any, Final

import psycopg
from psycopg import IsolationLevel, errors

from reproq.errors import MissingGrant
from reproq.lifecycle import COUNTED, FINAL, FINISHED, Kind, Status
from reproq.store.arrays import numbers, texts
from reproq.store.db import Database, address, is_bad_row
from reproq.store.runs import MAX_RUN_ID
from reproq.store.walk import TABLES, bound_statements, missing_grants, newest_runs, older_runs
from reproq.store.workers import installation

BATCH_RUNS: Final = 2000
MAX_OLDER_RUNS: Final = 1_000_000
"""Of runs older than the window, at most so many that are unfinished or finished late are looked at."""
MAX_KEPT: Final = 100
"""Contradictions of one invariant that are kept; all are counted."""


class Scope(StrEnum):
    """What an invariant is asked about; the name of its folder."""

    SERVER = "server"
    NOW = "now"
    EACH_RUN = "each_run"


@dataclass(frozen=True, slots=True)
class Invariant:
    """One claim, and the statement that gives `(run id or name, what is wrong)` for whatever contradicts it."""

    name: str
    scope: Scope
    claim: str
    statement: str


@dataclass(frozen=True, slots=True, order=True)
class Offence:
    """One contradiction: a run's id, or the name of another thing, and what is wrong with it."""

    subject: int | str
    what: str


@dataclass(slots=True)
class Finding:
    """What came of one invariant: up to MAX_KEPT offences, how many there were, or why it could not be answered."""

    invariant: Invariant
    offences: list[Offence] = field(default_factory=list)
    count: int = 0
    unanswered: str | None = None

    def add(self, offences: Sequence[Offence]) -> None:
        self.count += len(offences)
        self.offences += offences[: MAX_KEPT - len(self.offences)]


@dataclass(slots=True)
class Report:
    """All findings, in the order of the invariants, and how many runs were looked at. `is_cut` says that there are more
    unfinished ones than were looked at."""

    findings: list[Finding]
    runs: int = 0
    is_cut: bool = False

    @property
    def violated(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.count]

    @property
    def is_whole(self) -> bool:
        """Whether every question was answered, about every run that it is about."""
        return not self.unanswered and not self.is_cut

    @property
    def unanswered(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.unanswered and not finding.count]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long a healthy system may take. `lease_seconds` is that of the workers; `pause_seconds` lies between the two
    looks, and must be longer than a worker's poll interval; `slack_seconds` is what two clocks may differ."""

    lease_seconds: float = 30.0
    pause_seconds: float = 3.0
    slack_seconds: float = 5.0
    statement_seconds: float = 30.0
    max_xid_age: int = 1_500_000_000

    @property
    def grace_seconds(self) -> float:
        """A lost worker's run is rescued when its lease has ended, by a worker with a lease of unbroken contact."""
        return 2 * self.lease_seconds


def invariants() -> list[Invariant]:
    """Every invariant, read from its file: those of the server first, then by name."""
    folder = files("reproq.loadtest") / "invariants"
    found = []
    for scope in Scope:
        for path in sorted((folder / scope.value).iterdir(), key=lambda path: path.name):
            claim, _, statement = path.read_text("utf-8").partition("\n")
            found.append(Invariant(path.name.removesuffix(".sql"), scope, claim.removeprefix("-- "), statement))
    return found


def verify(
    database: Database,
    bounds: Bounds,
    *,
    window_seconds: float | None,
    skipped: frozenset[str] = frozenset(),
    clock: Callable[[], datetime | None] = lambda: None,
    pause: Callable[[float], None] = time.sleep,
) -> Report:
    """Ask every invariant but the skipped ones, over the runs of the window (None: all runs) and all unfinished ones.

    Raises MissingGrant and NotMigrated. `clock` gives the statements' time, None for the database's own.
    """
    look = _Look(database, bounds, clock)
    look.make_sure_of_the_tables()
    report = Report([Finding(one) for one in invariants() if one.name not in skipped])
    by_scope = {scope: [one for one in report.findings if one.invariant.scope is scope] for scope in Scope}
    for finding in by_scope[Scope.SERVER]:
        finding.add(*look.at_once([finding]))
    look.twice(by_scope[Scope.NOW], pause)
    for ids in look.batches(report, window_seconds):
        report.runs += len(ids)
        for finding in by_scope[Scope.EACH_RUN]:
            finding.add(sorted(look.at_runs(finding.invariant, ids), reverse=True))
    return report


class _Look:
    """Asks statements over one connection, each in a short read-only transaction."""

    def __init__(self, database: Database, bounds: Bounds, clock: Callable[[], datetime | None]) -> None:
        self._database = database
        self._bounds = bounds
        self._clock = clock
        self._params = {
            "statuses": texts(Status),
            "finished": texts(FINISHED),
            "kinds": texts(Kind),
            "counted": texts(COUNTED),
            "final": texts(FINAL),
            "tables": texts(TABLES),
            "lease_seconds": bounds.lease_seconds,
            "grace_seconds": bounds.grace_seconds,
            "slack_seconds": bounds.slack_seconds,
            "max_xid_age": bounds.max_xid_age,
        }

    @contextmanager
    def _reading(self, isolation: IsolationLevel = IsolationLevel.READ_COMMITTED) -> Iterator[psycopg.Cursor[Any]]:
        connection = self._database.connected()
        connection.read_only, connection.isolation_level = True, isolation
        connection.prepare_threshold = None  # older poolers hand the next transaction to a session that knows none
        with self._database.transaction() as cursor:
            bound_statements(cursor, self._bounds.statement_seconds)
            yield cursor

    def _ask(self, cursor: psycopg.Cursor[Any], invariant: Invariant, ids: Sequence[int] = ()) -> list[Offence]:
        cursor.execute(invariant.statement, self._params | {"ids": numbers(ids), "now": self._clock()})
        return [Offence(*row) for row in cursor.fetchall()]

    def make_sure_of_the_tables(self) -> None:
        """Raise MissingGrant with all that is missing, or NotMigrated."""
        with self._reading() as cursor:
            if grants := missing_grants(cursor):
                raise MissingGrant(
                    f"the role may not read everything at {address(self._database.dsn)}; its owner can say: "
                    f"{'; '.join(grants)};"
                )
            installation(cursor)

    def at_once(self, findings: Sequence[Finding]) -> list[list[Offence]]:
        """Ask these about one and the same state of the database; the offences against each."""
        offences: list[list[Offence]] = []
        with self._reading(IsolationLevel.REPEATABLE_READ) as cursor:
            for finding in findings:
                try:
                    with cursor.connection.transaction():
                        offences.append(self._ask(cursor, finding.invariant))
                except errors.QueryCanceled:
                    offences.append([])
                    finding.unanswered = f"no answer within {self._bounds.statement_seconds:g} s"
        return offences

    def twice(self, findings: Sequence[Finding], pause: Callable[[float], None]) -> None:
        """Ask these; where there are offences, ask again after a pause, and keep what is the same both times: a run
        that waits at one moment may be claimed at the next."""
        first = self.at_once(findings)
        if any(first):
            pause(self._bounds.pause_seconds)
            for finding, one, other in zip(findings, first, self.at_once(findings), strict=True):
                finding.add(sorted(set(one) & set(other)))

    def at_runs(self, invariant: Invariant, ids: Sequence[int]) -> list[Offence]:
        """Ask about these runs. A batch that raises, or takes too long, is halved until the run to blame is alone."""
        try:
            with self._reading() as cursor:
                return self._ask(cursor, invariant, ids)
        except psycopg.Error as error:
            if not (is_bad_row(error) or isinstance(error, errors.QueryCanceled)):
                raise
            if len(ids) == 1:
                reason = error.diag.message_primary or str(error)
                return [Offence(ids[0], f"PostgreSQL cannot tell: {reason}")]
        middle = len(ids) // 2
        return self.at_runs(invariant, ids[:middle]) + self.at_runs(invariant, ids[middle:])

    def batches(self, report: Report, window_seconds: float | None) -> Iterator[list[int]]:
        """The ids of the runs to look at. Newest first by id, until a whole batch was enqueued before the window: so
        runs are seen whatever is in their columns. Then what is unfinished, or finished late, among older ones."""
        up_to_id = MAX_RUN_ID
        is_inside = True
        while is_inside:
            with self._reading() as cursor:
                rows = newest_runs(cursor, up_to_id, BATCH_RUNS, window_seconds, self._clock())
            if not rows:
                return
            yield [run_id for run_id, _ in rows]
            up_to_id = rows[-1][0] - 1
            is_inside = any(inside for _, inside in rows)
        try:
            with self._reading() as cursor:
                older = older_runs(cursor, up_to_id, MAX_OLDER_RUNS, window_seconds or 0.0, self._clock())
        except errors.QueryCanceled:
            older, report.is_cut = [], True
        report.is_cut |= len(older) == MAX_OLDER_RUNS
        for start in range(0, len(older), BATCH_RUNS):
            yield older[start : start + BATCH_RUNS]
