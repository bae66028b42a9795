"""`reproq replay --compare`: SAME and DIFFERS, their exit codes, and what is said of runs that do not end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests.acceptance.workers import reproq, worker


def test_a_replay_is_compared_and_the_exit_code_says_whether_it_differs(
    dsn: str, log: Path, enqueue: Callable[..., Any]
) -> None:
    same, differs = enqueue("add", 1, 2), enqueue("draw")
    with worker(dsn, log):
        for result, sameness, code in ((same, "SAME", 0), (differs, "DIFFERS", 3)):
            told = reproq(dsn, "replay", result.id, "--compare", "--json", check=False)
            assert (told.returncode, json.loads(told.stdout)["sameness"]) == (code, sameness)


def test_a_run_without_an_end_is_not_replayed_for_a_comparison(
    dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    first = enqueue("add", 1, 2)
    number = first.id.partition("-")[0]
    told = reproq(dsn, "replay", first.id, "--compare", "--wait", "100ms", check=False)
    assert told.returncode == 1
    waits, refusal = told.stderr.splitlines()
    assert waits == f"waiting for run {number}, which is READY"
    assert f"run {number} is still READY after 0.1 s" in refusal
    assert "none is enqueued" in refusal
    assert "Does a worker serve" not in refusal
    assert pg.execute("SELECT count(*) FROM task_runs").fetchone() == (1,)


def test_a_comparison_names_the_replay_that_does_not_end(
    dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    first = enqueue("add", 1, 2)
    reproq(dsn, "cancel", first.id)
    told = reproq(dsn, "replay", first.id, "--compare", "--wait", "100ms", check=False)
    (second,) = pg.execute("SELECT max(id) FROM task_runs").fetchone() or ()
    assert told.returncode == 1
    assert f"run {second} is still READY after 0.1 s; the replay stays enqueued as run {second}. Does" in told.stderr
