"""Plans of the statements: custom and generic, without statistics, with idle ones, with those of a loaded table.

One database for all: 20,000 runs RUNNING, 20,000 READY, 1,000 SCHEDULED and 50,000 finished. No plan may read the table
in sequence, and a batch may touch pages only in proportion to its runs (lessons 4 and 20).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Cursor, sql

from reproq.lifecycle import Status, Verdict
from reproq.retention import Rule
from reproq.store import claims, holders, interventions, queues, rescues, retention, runs
from reproq.store.finalising import Finalisation, finalize
from tests.plugins.databases import TestServer
from tests.store.rows import FAIL, LEASE_SECONDS, NOW, RELEASE, RETRY, SUCCEED, TOKEN, claim

pytestmark = pytest.mark.plan

BATCH = 100
PRUNED = Rule(1.0, (Status.SUCCESSFUL,))
LOAD = """
INSERT INTO task_runs (
    task_path, args, spec_hash, queue_name, priority, due_at, status, attempts, worker_ids, claim_token, worker_id,
    claimed_at, lease_expires_at, started_at, finished_at, return_value
)
SELECT
    'app.tasks.parse', json_build_array('module_' || i, i), encode(sha256(i::text::bytea), 'hex'),
    'q' || i % 3, i % 5, timestamptz '2030-01-01 12:00Z' - i * interval '1 ms', status,
    CASE WHEN status IN ('READY', 'SCHEDULED') THEN 0 ELSE 1 END,
    CASE WHEN status IN ('READY', 'SCHEDULED') THEN '{}'::text[] ELSE '{w-1}' END,
    CASE WHEN status = 'RUNNING' THEN -77 END, CASE WHEN status = 'RUNNING' THEN 'w-' || i % 10 END,
    CASE WHEN status = 'RUNNING' THEN timestamptz '2030-01-01 12:00Z' END,
    CASE WHEN status = 'RUNNING' THEN timestamptz '2030-01-01 12:00:30Z' END,
    CASE WHEN status = 'SUCCESSFUL' THEN timestamptz '2030-01-01 12:00Z' END,
    CASE WHEN status = 'SUCCESSFUL' THEN timestamptz '2030-01-01 12:00Z' END,
    CASE WHEN status = 'SUCCESSFUL' THEN '{"lines": 120}'::json END
FROM (
    SELECT
        i, CASE
            WHEN i <= %(finished)s::int THEN 'SUCCESSFUL'
            WHEN i %% 41 = 0 THEN 'SCHEDULED'
            WHEN i %% 2 = 0 AND %(busy)s::bool THEN 'RUNNING'
            WHEN %(busy)s::bool THEN 'READY'
            ELSE 'SUCCESSFUL'
        END AS status
    FROM generate_series(1, %(runs)s::int) i
) AS made
"""
STATISTICS = ["never analysed", "analysed idle", "analysed under load"]
STATEMENTS = ["claim", "finalize", "renew", "expired", "promote", "next_due", "ready_queues"]
STATEMENTS += ["work_left", "work_left anywhere", "latest_of_spec", "requeue"]
STATEMENTS += ["retry", "cancel", "claim with unknown tasks", "cancel_requested", "soonest_lease", "holders", "prune"]


@pytest.fixture(scope="module", params=STATISTICS)
def loaded(request: pytest.FixtureRequest, server: TestServer) -> Iterator[psycopg.Connection]:
    """The loaded table in one of the states of its statistics."""
    dsn = server.create(server.template)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE task_runs SET (autovacuum_enabled = off)")
        load(connection, finished=50_000, runs=50_000, busy=False)
        if request.param == "analysed idle":
            connection.execute("ANALYZE task_runs")
        load(connection, finished=0, runs=41_000, busy=True)
        if request.param == "analysed under load":
            connection.execute("VACUUM ANALYZE task_runs")
        yield connection
    server.leave(dsn)


def load(connection: psycopg.Connection, **sizes: Any) -> None:
    text = LOAD.replace("i % 10", "i %% 10").replace("i % 3", "i %% 3").replace("i % 5", "i %% 5")
    connection.execute(text, sizes)


@pytest.fixture(params=["force_custom_plan", "force_generic_plan"])
def explain(loaded: psycopg.Connection, request: pytest.FixtureRequest) -> Iterator["Explain"]:
    """A cursor that explains and runs each statement, in a transaction that is rolled back."""
    with loaded.transaction(force_rollback=True), loaded.cursor() as cursor:
        cursor.execute(f"SET LOCAL plan_cache_mode = {request.param}")
        yield Explain(cursor)


class Explain:
    """A cursor for the store's functions: EXPLAIN ANALYZE in front of every statement, which then answers no rows."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.plan: dict[str, Any] = {}

    def execute(self, query: str, params: Any = None) -> None:
        """By PREPARE and EXECUTE: EXPLAIN of the statement itself would always make a custom plan."""
        places: dict[str, int] = {}
        numbered = re.sub(r"%\((\w+)\)s", lambda found: f"${places.setdefault(found[1], len(places) + 1)}", query)
        self.cursor.execute(f"PREPARE explained AS {numbered}".encode())
        values = sql.SQL(", ").join(sql.Literal(params[name]) for name in places)
        call = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE explained").format()
        row = self.cursor.execute(call + sql.SQL("({})").format(values) if places else call).fetchone()
        self.cursor.execute("DEALLOCATE explained")
        assert row is not None
        self.plan = (row[0] if isinstance(row[0], list) else json.loads(row[0]))[0]["Plan"]

    def fetchall(self) -> list[Any]:
        return []

    def fetchone(self) -> None:
        return None

    @property
    def buffers(self) -> int:
        return int(self.plan["Shared Hit Blocks"] + self.plan["Shared Read Blocks"])

    def nodes(self) -> Iterator[dict[str, Any]]:
        waiting = [self.plan]
        while waiting:
            node = waiting.pop()
            waiting += node.get("Plans", [])
            yield node


def running(cursor: Cursor, count: int) -> list[int]:
    query = "SELECT id FROM task_runs WHERE status = 'RUNNING' ORDER BY id LIMIT %s"
    return [row[0] for row in cursor.execute(query, [count]).fetchall()]


def ends(cursor: Cursor, count: int) -> list[Finalisation]:
    verdicts: list[Verdict] = [SUCCEED, SUCCEED, FAIL, RETRY, RELEASE]
    return [
        Finalisation(run_id, TOKEN, verdicts[place % 5], 1.0, 2.0)
        for place, run_id in enumerate(running(cursor, count))
    ]


def act(name: str, explain: Explain) -> None:
    """Run one statement as the engine does, through the function in front of it."""
    real, cursor = explain.cursor, explain
    match name:
        case "claim":
            claim(cursor, queues=["q0", "q1", "q2"], limit=BATCH)
        case "claim with unknown tasks":
            claim(cursor, queues=["q0", "q1", "q2"], limit=BATCH, unknown_paths=["app.tasks.new", "app.tasks.newer"])
        case "finalize":
            finalize(cursor, ends(real, BATCH), 3.0, NOW)
        case "renew":
            claims.renew(cursor, [(run_id, TOKEN) for run_id in running(real, BATCH)], LEASE_SECONDS, NOW)
        case "cancel_requested":
            claims.cancel_requested(cursor, [(run_id, TOKEN) for run_id in running(real, BATCH)])
        case "holders":
            holders.holders(cursor, running(real, BATCH))
        case "soonest_lease":
            rescues.soonest_lease_seconds(cursor, NOW)
        case "expired":
            rescues.expired(cursor, LEASE_SECONDS, now=NOW.replace(hour=13))
        case "prune":
            with pytest.raises(AssertionError):  # no row is answered
                retention.prune(cursor, "default", PRUNED, retention.START, 5 * BATCH, NOW.replace(hour=13))
        case "promote":
            claims.promote(cursor, BATCH, NOW)
        case "next_due":
            queues.next_due_seconds(cursor, NOW)
        case "work_left":
            queues.work_left(cursor, ["q0", "none"], 60, now=NOW)
        case "work_left anywhere":
            queues.work_left(cursor, None, 60, ["q1"], NOW)
        case "ready_queues":
            queues.ready_queues(cursor)
        case "retry" | "cancel":
            query = "SELECT id FROM task_runs WHERE status = 'READY' LIMIT %s"
            ids = [row[0] for row in real.execute(query, [BATCH]).fetchall()]
            interventions.retry(cursor, ids, NOW) if name == "retry" else interventions.cancel(cursor, ids, now=NOW)
        case "latest_of_spec" | "requeue":
            row = real.execute("SELECT id, spec_hash FROM task_runs WHERE finished_at IS NOT NULL LIMIT 1").fetchone()
            assert row is not None
            with pytest.raises(LookupError):
                runs.requeue(cursor, row[0], NOW) if name == "requeue" else runs.latest_of_spec(cursor, row[1])


PAGES = {
    "claim": 60 * BATCH,
    "claim with unknown tasks": 60 * BATCH,
    "cancel_requested": 20 * BATCH,
    "holders": 20 * BATCH,
    "soonest_lease": 30_000,  # the 20,000 RUNNING rows and the index on worker_id, no finished one
    "finalize": 60 * BATCH,
    "renew": 20 * BATCH,
    "promote": 60 * BATCH,
    "prune": 60 * 5 * BATCH,
    "next_due": 20,
    "latest_of_spec": 20,
    "work_left": 100,
    "work_left anywhere": 100,
    "ready_queues": 100,
    "requeue": 200,
    "retry": 20 * BATCH,
    "cancel": 60 * BATCH,
}
"""How many pages one execution may touch; `expired` looks at all that is RUNNING, by design."""


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_plan_reads_the_table_in_sequence_or_more_pages_than_its_runs(name: str, explain: Explain) -> None:
    act(name, explain)
    kinds = {(node["Node Type"], node.get("Relation Name")) for node in explain.nodes()}
    assert ("Seq Scan", "task_runs") not in kinds, kinds
    assert explain.buffers <= PAGES.get(name, 100_000), (explain.buffers, kinds)


def test_the_pages_of_a_finalise_grow_with_its_batch(explain: Explain) -> None:
    touched = []
    for size in (50, 200):
        with explain.cursor.connection.transaction(force_rollback=True):
            finalize(explain, ends(explain.cursor, size), 3.0, NOW)
            touched.append(explain.buffers)
    assert touched[1] < 6 * touched[0]


def test_asking_for_work_in_a_queue_without_any_reads_what_falls_due_and_what_runs(
    explain: Explain,
) -> None:
    queues.work_left(explain, ["none"], 60, now=NOW)
    assert explain.buffers <= 9_000  # the 20,000 RUNNING rows, through the index on worker_id: no index knows of leases
