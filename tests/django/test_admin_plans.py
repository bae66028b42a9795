"""On 200,000 runs, no query of an admin page reads the table in sequence, nor more pages than a window has."""

import json
import re

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.django.admin_site import ALL, RUNS, page

pytestmark = [pytest.mark.plan, pytest.mark.slow]

RUNS_IN_ALL = 200_000
LOAD = """
INSERT INTO task_runs (task_path, args, spec_hash, queue_name, due_at, status, attempts, worker_ids, claim_token,
    worker_id, claimed_at, lease_expires_at, finished_at, return_value, failures, errors)
SELECT 'app.tasks.t' || i % 50, json_build_array(i, repeat('x', 100)), encode(sha256((i / 4)::text::bytea), 'hex'),
    'q' || i % 3, now(), status, started::int, CASE WHEN started THEN '{w-1}'::text[] ELSE '{}' END,
    CASE WHEN status = 'RUNNING' THEN 5 END, CASE WHEN status = 'RUNNING' THEN 'w-1' END,
    CASE WHEN status = 'RUNNING' THEN now() END, CASE WHEN status = 'RUNNING' THEN now() END,
    CASE WHEN status IN ('SUCCESSFUL', 'FAILED') THEN now() END,
    CASE WHEN status = 'SUCCESSFUL' THEN '{"lines": 120}'::json END, (status = 'FAILED')::int,
    CASE WHEN status = 'FAILED' THEN '[{"kind": "timeout", "message": "too long"}]'::jsonb ELSE '[]' END
FROM (
    SELECT i, status, status IN ('RUNNING', 'SUCCESSFUL', 'FAILED') AS started
    FROM generate_series(1, %(runs)s::int) AS i, LATERAL (
        SELECT CASE WHEN i %% 10000 = 7 THEN 'FAILED' WHEN i %% 20 = 1 THEN 'READY' WHEN i %% 50 = 2 THEN 'SCHEDULED'
            WHEN i %% 500 = 3 THEN 'RUNNING' ELSE 'SUCCESSFUL' END AS status
    ) AS drawn
) AS made
"""
ASKED = [
    {},
    *({"status": status} for status in ("READY", "SCHEDULED", "RUNNING", "WAITING", "FAILED", "SUCCESSFUL")),
    {"queue": "q1"},
    {"queue": "q1", "status": "READY"},
    {"queue": "none"},
    {"error": "timeout"},
    {"error": "exception", "status": "FAILED"},
    {"before": "100000"},
    {"before": "100000", "status": "FAILED"},
    {"p": "200"},
    {"p": "999"},
    *(
        {"q": term}
        for term in ("77", "tasks.t7", "nothing", "w-1", "w-none", "q1", "abcd", "5feceb66ffc86f38", "0" * 64)
    ),
    {"q": "tasks.t7", "status": "FAILED"},
]
MAX_PAGES = (
    25_000  # an index entry and a row for each run of a window, with room; the table has more than that many rows
)


@pytest.fixture(scope="module", params=["analysed", "never analysed"])
def loaded(request, server):
    dsn = server.create(server.template)
    with psycopg.connect(dsn, autocommit=True) as one:
        one.execute("ALTER TABLE task_runs SET (autovacuum_enabled = off)")
        one.execute(LOAD.replace("i % ", "i %% "), {"runs": RUNS_IN_ALL})
        if request.param == "analysed":
            one.execute("ANALYZE task_runs")
    yield dsn
    server.leave(dsn)


@pytest.fixture
def dsn(loaded):
    """The loaded database instead of an empty one; what a test leaves in it are users and sessions."""
    return loaded


def nodes(plan):
    waiting = [plan]
    while waiting:
        node = waiting.pop()
        waiting += node.get("Plans", [])
        yield node


def explained(queries):
    """The plan of every query on the table."""
    for one in queries:
        if re.search(r"\btask_runs\b", one["sql"]) and one["sql"].lstrip().startswith(("SELECT", "WITH")):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + one["sql"].replace("%", "%%"), ())
                (answer,) = cursor.fetchone()
            yield one["sql"], (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]


def check(queries):
    plans = list(explained(queries))
    assert len(plans) >= 1
    for text, plan in plans:
        kinds = {(node["Node Type"], node.get("Relation Name")) for node in nodes(plan)}
        assert ("Seq Scan", "task_runs") not in kinds, text
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= MAX_PAGES, text


@pytest.mark.lesson("dashboard-that-counts-the-whole-table")
def test_no_list_reads_the_table_in_sequence(staff):
    client = staff(*ALL)
    for asked in ASKED:
        with CaptureQueriesContext(connection) as queries:
            page(client, **asked)
        check(queries)


def test_neither_does_the_page_of_a_run_or_an_action(staff):
    client = staff(*ALL)
    with CaptureQueriesContext(connection) as queries:
        page(client, f"{RUNS}100000/change/")
        page(client, f"{RUNS}100000/delete/")
        page(client, f"{RUNS}100000/history/")
    check(queries)
    with CaptureQueriesContext(connection) as queries:
        client.post(RUNS, {"action": "retry_runs", "_selected_action": [RUNS_IN_ALL, RUNS_IN_ALL - 1]})
    check(queries)
