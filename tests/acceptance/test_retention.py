"""A real worker that deletes by itself what its retention gives up."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests.acceptance.workers import statuses, wait_for, worker
from tests.store.rows import ended_ago


def test_a_worker_deletes_by_itself_what_its_retention_gives_up(
    pg: psycopg.Connection, dsn: str, log: Path, enqueue: Callable[..., Any]
) -> None:
    ended_ago(pg, 40, runs=1200)
    ended_ago(pg, 40, "FAILED")
    with worker(dsn, log, "--retention", "successful=2s,failed=90d", "--prune-interval", "200ms"):
        result = enqueue("add", 1, 2)
        wait_for("the run to succeed and to be deleted again", lambda: statuses(pg) == {"FAILED": 1})
        wait_for("the log to say so", lambda: "runs.pruned runs=" in log.read_text())
    assert f"run.succeeded id={result.id.partition('-')[0]}" in log.read_text()
