"""`reproq bench backlog` and `history`: what a claim of 100 touches and takes in a large table, beside a small one.

All of it happens in one transaction, which is rolled back: however it ends, nobody has ever seen a row of it.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import psycopg

from reproq.loadtest.bench.figures import Figure, Of, Taking, at_most
from reproq.loadtest.bench.place import BenchFailed, Place, sql
from reproq.store import claims
from reproq.store.db import opened
from reproq.store.queues import ready_queues
from reproq.store.statements import Cursor

LIMIT: Final = 100
FEW: Final = 1_000
FILL_BATCH: Final = 20_000
CLAIMS: Final = 25
WARM_UP: Final = 12
"""Claims before them: psycopg prepares the sixth, and PostgreSQL plans five more for their values."""
MILLISECONDS: Final = 1000.0
ROWS: Final = {"backlog": 1_000_000, "history": 5_000_000}
GOALS: Final = (at_most(1.5, Of.RATIO),)


@dataclass(frozen=True, slots=True)
class Load:
    """So many runs of one kind, spread over `queues` queues of our own; those of `others` are served by nobody."""

    runs: int
    queues: int = 1
    status: str = "READY"
    priority: int = 0
    others: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A small table, and what makes a large one of it. Claims are made for all queues of `few`, whose names have to be
    found where a worker serves `*`."""

    name: str
    few: Load
    more: Load
    is_for_all: bool = False


def backlog(rows: int) -> list[Case]:
    """What may wait."""
    ahead, each = rows // 10, min(FEW, rows // 1000)
    return [
        Case(f"{rows:,} READY", Load(FEW), Load(rows)),
        Case(f"{ahead:,} future runs of top priority ahead", Load(FEW), Load(ahead, status="SCHEDULED", priority=100)),
        Case(f"{rows:,} READY in queues of others", Load(FEW), Load(rows, 7, priority=100, others=True)),
        Case(f"three queues, {rows:,} READY", Load(3 * FEW, 3), Load(rows, 3)),
        Case(f"* with 200 queues, {rows:,} READY", Load(200 * each, 200), Load(rows, 200), is_for_all=True),
    ]


def history(rows: int) -> list[Case]:
    """What may have been."""
    return [Case(f"{rows:,} finished", Load(FEW), Load(rows, status="SUCCESSFUL"))]


def measure(place: Place, measure_name: str, cases: Sequence[Case]) -> list[Figure]:
    """Pages and milliseconds of a claim for each case."""
    figures: list[Figure] = []
    for case in cases:
        place.say(f"{measure_name}: {case.name}")
        try:
            with opened(place.config.dsn, "reproq bench claims") as database, ExitStack() as stack:
                connection = database.connected()
                stack.enter_context(connection.transaction(force_rollback=True))
                figures += _compared(place, connection, measure_name, case)
        finally:
            place.vacuum()  # the rows are dead, and their pages can be had back
    return figures


def _compared(place: Place, connection: psycopg.Connection[Any], measure_name: str, case: Case) -> list[Figure]:
    names = [f"{_prefix(place, case.few)}{number}" for number in range(case.few.queues)]
    _fill(place, connection, case.few)
    few = _claims(place, connection, names, case.is_for_all)
    _fill(place, connection, case.more)
    many = _claims(place, connection, names, case.is_for_all)
    shown = {"pages": "pages", "ms": "ms"}
    if case.is_for_all:
        shown["names_ms"] = "ms to find the names"
    return [
        Figure(
            measure=measure_name,
            name=case.name if unit == "pages" else f"{case.name}: {unit}",
            unit=unit.partition(" ")[0],
            takings=(Taking(getattr(many, attribute), getattr(few, attribute)),),
            beside=f"with {case.few.runs:,}",
            goals=GOALS,
        )
        for attribute, unit in shown.items()
    ]


def _prefix(place: Place, load: Load) -> str:
    return f"{place.queue}-{'others' if load.others else 'q'}"


def _fill(place: Place, connection: psycopg.Connection[Any], load: Load) -> None:
    shared = {"prefix": _prefix(place, load), "queues": load.queues, "priority": load.priority, "status": load.status}
    for first in range(1, load.runs + 1, FILL_BATCH):
        place.go_on()
        last = min(load.runs, first + FILL_BATCH - 1)
        connection.execute(sql("fill"), shared | {"first": first, "last": last})
    connection.execute("ANALYZE task_runs")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim touched, and the median times of claims and of finding the names of all queues."""

    pages: float
    ms: float
    names_ms: float


def _claims(place: Place, connection: psycopg.Connection[Any], names: Sequence[str], is_for_all: bool) -> Claimed:
    """Claims that are taken back, one after another; the first only warm up, and one is explained."""

    def claim(cursor: Cursor) -> int:
        asked: dict[str, Any] = {"token": 1, "worker_id": place.queue, "lease_seconds": place.config.lease}
        return len(claims.claim(cursor, queues=names, limit=LIMIT, **asked))

    def claimed() -> None:
        with connection.cursor() as cursor:
            if (found := claim(cursor)) != LIMIT:
                raise BenchFailed(f"a claim of {LIMIT} took {found} runs, so there is no figure")

    def named() -> None:
        with connection.cursor() as cursor:
            ready_queues(cursor)

    took = [_taken_back(connection, claimed) for _ in range(WARM_UP + CLAIMS)][WARM_UP:]
    found = [_taken_back(connection, named) for _ in range(WARM_UP + CLAIMS if is_for_all else 1)]
    explained = _Explained(connection)
    _taken_back(connection, lambda: claim(explained))
    return Claimed(explained.pages, MILLISECONDS * median(took), MILLISECONDS * median(found[WARM_UP:] or found))


def _taken_back(connection: psycopg.Connection[Any], work: Callable[[], Any]) -> float:
    """The seconds that it took, without its end."""
    with connection.transaction(force_rollback=True):
        began = time.perf_counter()
        work()
        return time.perf_counter() - began


class _Explained:
    """A cursor for the store's functions: it explains and runs a statement, and answers no rows."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._cursor = psycopg.ClientCursor(connection)
        self.pages = 0.0

    def execute(self, query: Any, params: Any = None) -> None:
        row = self._cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", params).fetchone()
        (shown,) = row or ([{}],)
        plan = (json.loads(shown) if isinstance(shown, str) else shown)[0]["Plan"]
        self.pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]

    def fetchall(self) -> list[Any]:
        return []

    def fetchone(self) -> None:
        return None
