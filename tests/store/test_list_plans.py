"""On 200,000 runs, no list of `reproq runs list` reads the table in sequence, whatever is asked together.

A backlog: the older half has finished, few of it failed, the rest waits; what is asked for is not always the newest.
"""

import itertools
from collections.abc import Iterator
from dataclasses import fields

import psycopg
import pytest

from reproq.cli.runs import list_command
from reproq.store import insight
from reproq.store.insight import WINDOW, RunFilter
from tests.plugins.databases import TestServer
from tests.store.test_plans import Explain

pytestmark = [pytest.mark.plan, pytest.mark.slow]

RUNS = 200_000
LOAD = """
INSERT INTO task_runs (task_path, args, spec_hash, queue_name, due_at, status, attempts, worker_ids, claim_token,
    worker_id, claimed_at, lease_expires_at, finished_at, return_value, failures, errors)
SELECT 'app.tasks.t' || i %% 50, json_build_array(i, repeat('x', 100)), encode(sha256((i / 4)::text::bytea), 'hex'),
    'q' || i %% 3, now(), status, started::int, CASE WHEN started THEN '{w-1}'::text[] ELSE '{}' END,
    CASE WHEN status = 'RUNNING' THEN 5 END, CASE WHEN status = 'RUNNING' THEN 'w-1' END,
    CASE WHEN status = 'RUNNING' THEN now() END, CASE WHEN status = 'RUNNING' THEN now() END,
    CASE WHEN status IN ('SUCCESSFUL', 'FAILED') THEN now() - i * interval '1 ms' END,
    CASE WHEN status = 'SUCCESSFUL' THEN '{"lines": 120}'::json END, (status = 'FAILED')::int,
    CASE WHEN status = 'FAILED' THEN '[{"kind": "timeout", "message": "too long"}]'::jsonb ELSE '[]' END
FROM (
    SELECT i, status, status IN ('RUNNING', 'SUCCESSFUL', 'FAILED') AS started
    FROM generate_series(1, %(runs)s::int) AS i, LATERAL (
        SELECT CASE
            WHEN i %% 10000 = 7 AND i < %(finished)s::int THEN 'FAILED' WHEN i < %(finished)s::int THEN 'SUCCESSFUL'
            WHEN i < %(finished)s::int + 100 THEN 'RUNNING' WHEN i %% 50 = 2 THEN 'SCHEDULED' ELSE 'READY'
        END AS status
    ) AS drawn
) AS made
"""
MAX_PAGES = 6 * (4 * WINDOW + 100)
"""For each run of a window an index entry and a row, twice (found, then read), and no more."""
VALUES = {
    "status": ["READY", "SCHEDULED", "RUNNING", "FAILED", "WAITING"],
    "queue_name": ["q1", "none"],
    "task_path": ["app.tasks.t7"],
    "spec_hash": ["5f", "5feceb66ffc86f38"],
    "error_kind": ["timeout"],
    "since_seconds": [3600.0],
}
FILTERS = [
    RunFilter(**dict(zip(names, values, strict=True)))
    for count in range(len(VALUES) + 1)
    for names in itertools.combinations(VALUES, count)
    for values in itertools.product(*(VALUES[name] if count < 2 else VALUES[name][:1] for name in names))
]


@pytest.fixture(scope="module", params=["analysed", "never analysed"])
def loaded(request: pytest.FixtureRequest, server: TestServer) -> Iterator[psycopg.Connection]:
    dsn = server.create(server.template)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE task_runs SET (autovacuum_enabled = off)")
        connection.execute(LOAD, {"runs": RUNS, "finished": RUNS // 2})
        if request.param == "analysed":
            connection.execute("ANALYZE task_runs")
        yield connection
    server.leave(dsn)


class Plans(Explain):
    """Explains and checks both statements of a list; answers the first, which says where the window begins."""

    def execute(self, query: str, params: object = None) -> None:
        super().execute(query, params)
        self.check()
        self._asked = (query, params)

    def fetchone(self) -> object:
        return self.cursor.execute(*self._asked).fetchone()

    def check(self) -> None:
        """No sequential scan, and no more pages than the windows have."""
        kinds = {(node["Node Type"], node.get("Relation Name")) for node in self.nodes()}
        assert ("Seq Scan", "task_runs") not in kinds, kinds
        assert self.buffers <= MAX_PAGES, (self.buffers, kinds)


def test_every_filter_of_the_command_is_among_those_that_are_looked_at() -> None:
    offered = {parameter.name for parameter in list_command.params}
    known = {field.name for field in fields(RunFilter)}
    assert known == set(VALUES)
    assert offered - {"settings", "dsn", "backend", "limit", "before_id", "as_json"} == known - {"since_seconds"} | {
        "since"
    }


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_no_list_reads_the_table_in_sequence(loaded: psycopg.Connection, mode: str) -> None:
    with loaded.transaction(force_rollback=True), loaded.cursor() as cursor:
        cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
        for number, only in enumerate(FILTERS):
            insight.list_runs(Plans(cursor), only, limit=20, before_id=RUNS // 3 if number % 3 == 0 else RUNS)
