"""What a claim of 100 touches does not grow with what waits, is scheduled, has finished, or is served by others.

Pages touched (EXPLAIN) against those with 1,000 READY runs in the only queue, or a smaller backlog in as many queues.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from tests.plugins.databases import TestServer
from tests.store.rows import HASH, NOW, claim
from tests.store.test_plans import Explain

pytestmark = pytest.mark.plan

LIMIT = 100
MOST = 1.5
MANY = 50_000
MILLION = 1_000_000

FILL = """
INSERT INTO task_runs (
    task_path, args, spec_hash, queue_name, priority, due_at, status, attempts, worker_ids, started_at, finished_at,
    return_value
)
SELECT
    'app.tasks.parse', json_build_array('module_' || i, i), %(hash)s, %(prefix)s || i %% %(queues)s::int, %(priority)s,
    %(due_at)s, %(status)s, worker.count, worker.ids, worker.moment, worker.moment,
    CASE WHEN worker.count = 1 THEN '7'::json END
FROM generate_series(1, %(runs)s::int) i,
LATERAL (
    SELECT
        CASE WHEN %(status)s = 'SUCCESSFUL' THEN 1 ELSE 0 END AS count,
        CASE WHEN %(status)s = 'SUCCESSFUL' THEN '{w-1}'::text[] ELSE '{}' END AS ids,
        CASE WHEN %(status)s = 'SUCCESSFUL' THEN %(due_at)s::timestamptz END AS moment
) AS worker
"""


@dataclass(frozen=True, slots=True)
class Load:
    """So many runs of one kind, spread over `queues` queues whose names begin with `prefix`."""

    runs: int
    prefix: str = "q"
    queues: int = 1
    status: str = "READY"
    priority: int = 0

    def put(self, pg: psycopg.Connection) -> None:
        due_at = NOW.replace(year=NOW.year + 1) if self.status == "SCHEDULED" else NOW
        pg.execute(
            FILL,
            {
                "hash": HASH,
                "runs": self.runs,
                "prefix": self.prefix,
                "queues": self.queues,
                "status": self.status,
                "priority": self.priority,
                "due_at": due_at,
            },
        )


FEW = Load(1000)
CASES: dict[str, tuple[list[Load], list[Load]]] = {
    "ready": ([FEW], [Load(MANY)]),
    "scheduled ahead": ([FEW], [Load(MANY, status="SCHEDULED", priority=100), FEW]),
    "finished": ([FEW], [Load(MANY, status="SUCCESSFUL"), FEW]),
    "ready in queues of others": ([FEW], [Load(MANY, "other", 7, priority=100), FEW]),
    "three queues": ([Load(3000, queues=3)], [Load(MANY, queues=3)]),
    "200 queues": ([Load(10_000, queues=200)], [Load(MANY, queues=200)]),
}
LARGE: dict[str, tuple[list[Load], list[Load]]] = {
    "ready": ([FEW], [Load(MILLION)]),
    "scheduled ahead": ([FEW], [Load(100_000, status="SCHEDULED", priority=100), FEW]),
}


@pytest.fixture
def pg(server: TestServer) -> Iterator[psycopg.Connection]:
    """A migrated database of its own, never vacuumed in between."""
    dsn = server.create(server.template)
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=5) as connection:
        connection.execute("ALTER TABLE task_runs SET (autovacuum_enabled = off)")
        yield connection
    server.leave(dsn)


def pages(pg: psycopg.Connection, loads: list[Load], mode: str) -> int:
    """What one claim of LIMIT runs from all queues named `q...` touches, with this in the table."""
    pg.execute("TRUNCATE task_runs")
    for load in loads:
        load.put(pg)
    pg.execute("VACUUM ANALYZE task_runs")
    names = [f"q{number}" for number in range(loads[-1].queues)]
    with pg.transaction(force_rollback=True), pg.cursor() as cursor:
        cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
        explain = Explain(cursor)
        claim(explain, queues=names, limit=LIMIT)
        (count,) = cursor.execute("SELECT count(*) FROM task_runs WHERE status = 'RUNNING'").fetchone() or (0,)
        assert count == LIMIT
        return explain.buffers


@pytest.mark.lesson("scheduled-rows-at-the-head-of-the-index")
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("case", CASES)
def test_a_claim_touches_as_little_of_a_large_table_as_of_a_small_one(
    pg: psycopg.Connection, case: str, mode: str
) -> None:
    few, many = CASES[case]
    assert pages(pg, many, mode) <= MOST * pages(pg, few, mode)


@pytest.mark.parametrize("queues", [["q0"], ["q0", "q1", "q2"]])
def test_a_claim_that_is_repeated_is_not_planned_again(pg: psycopg.Connection, queues: list[str]) -> None:
    Load(3000, queues=3).put(pg)
    pg.execute("VACUUM ANALYZE task_runs")
    with pg.cursor() as cursor:
        for _ in range(15):  # psycopg sends five as they are, PostgreSQL plans five more for their values
            assert len(claim(cursor, queues=queues, limit=5)) == 5
    plans = pg.execute(
        "SELECT generic_plans FROM pg_prepared_statements WHERE statement LIKE '%claim_token%'"
    ).fetchall()
    assert plans == [(5,)]


@pytest.mark.slow
@pytest.mark.parametrize("case", LARGE)
def test_a_claim_touches_as_little_of_a_million_runs(pg: psycopg.Connection, case: str) -> None:
    few, many = LARGE[case]
    assert pages(pg, many, "force_generic_plan") <= MOST * pages(pg, few, "force_generic_plan")
