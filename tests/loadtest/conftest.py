"""A database to verify, and what is found in it."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from reproq.loadtest.verify import Bounds, Offence, Report, verify
from reproq.spec import make_spec
from reproq.store.db import Database
from reproq.store.runs import NewRun, Terms, enqueue
from tests.loops.conftest import Bench

DAY_SECONDS = 86_400.0
NOT_FOR_TESTS = frozenset({"crash_safe_settings"})
"""The tests' own server is fast rather than safe."""


def found(dsn: str, *, skipped: frozenset[str] = NOT_FOR_TESTS, **options: Any) -> Report:
    """Verify with a look behind a pause of no time at all."""
    database = Database(dsn, "verify")
    try:
        bounds = options.pop("bounds", Bounds())
        given: dict[str, Any] = {"window_seconds": DAY_SECONDS, "pause": lambda seconds: None} | options
        return verify(database, bounds, skipped=skipped, **given)
    finally:
        database.close()


def offences(report: Report) -> dict[str, list[Offence]]:
    """What contradicts each violated invariant."""
    return {finding.invariant.name: finding.offences for finding in report.violated}


@pytest.fixture
def bench(dsn: str, pg: psycopg.Connection) -> Iterator[Bench]:
    bench = Bench(dsn, pg)
    yield bench
    bench.close()


@pytest.fixture
def enqueued(pg: psycopg.Connection) -> Callable[..., int]:
    """Enqueue a run by the database's own clock; returns its id."""

    def enqueue_one(number: int = 1, **fields: Any) -> int:
        with pg.cursor() as cursor:
            return enqueue(
                cursor, NewRun(spec=make_spec("x.y", [number], {}), nonce=number, terms=Terms(**fields))
            ).run_id

    return enqueue_one
