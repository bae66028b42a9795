"""What runs print is kept with them: stdout, stderr, logging, C code; a flood is cut and harms nobody."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.workers import reproq, statuses, wait_for, worker


def logs(dsn: str, result: Any) -> list[dict[str, Any]]:
    lines = reproq(dsn, "runs", "logs", result.id, "--json").stdout.splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("executor", ["fork", "spawn"])
def test_what_a_run_prints_is_kept_with_it(dsn: str, enqueue: Callable[..., Any], executor: str) -> None:
    result = enqueue("say", "words")
    reproq(dsn, "worker", "--burst", "--executor", executor)
    (log,) = logs(dsn, result)
    for part in ("words\n", "logged: words\n", "raw \\xff\\x00 \x1b[31m bytes\n"):
        assert part in log["head"]
    assert (log["attempt"], log["tail"], log["bytes_total"]) == (
        1,
        "",
        len("words\nlogged: words\nraw __ \x1b[31m bytes\n"),
    )
    shown = reproq(dsn, "runs", "logs", result.id).stdout
    assert "--- attempt 1, " in shown
    assert "\x1b" not in shown, "what a task printed must not steer the terminal"


def test_every_attempt_has_its_own_log(dsn: str, enqueue: Callable[..., Any]) -> None:
    result = enqueue("say_and_fail", "no luck")
    reproq(dsn, "worker", "--burst")
    assert [(log["attempt"], log["head"]) for log in logs(dsn, result)] == [(1, "no luck\n"), (2, "no luck\n")]
    shown = reproq(dsn, "runs", "logs", result.id, "--attempt", "2").stdout
    assert "attempt 2" in shown
    assert "attempt 1" not in shown


def test_what_an_attempt_printed_that_was_killed_is_kept(dsn: str, enqueue: Callable[..., Any]) -> None:
    result = enqueue("ignore_term", 600, timeout=3, max_attempts=1)
    reproq(dsn, "worker", "--burst", "--kill-grace", "100ms")
    assert [(log["attempt"], log["head"]) for log in logs(dsn, result)] == [(1, "deaf\n")]


def test_a_silent_run_writes_no_log(dsn: str, pg: psycopg.Connection, enqueue: Callable[..., Any]) -> None:
    result = enqueue("add", 1, 2)
    reproq(dsn, "worker", "--burst")
    assert pg.execute("SELECT count(*) FROM reproq_logs").fetchone() == (0,)
    assert "nothing that it printed is stored" in reproq(dsn, "runs", "logs", result.id).stderr


def resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def test_a_flood_of_a_gigabyte_is_cut_the_run_succeeds_and_the_worker_stays_small(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("flood", 1024)
    with worker(dsn, log) as process:
        wait_for("the flood to end", lambda: statuses(pg) == {"SUCCESSFUL": 1}, 60)
        assert resident_megabytes(process.pid) < 120
    (kept,) = logs(dsn, result)
    assert kept["head"].startswith("first line\n")
    assert kept["tail"].endswith("\nlast line\n")
    assert len(kept["head"] + kept["tail"]) == 65536
    assert kept["bytes_total"] == 1024**3 + len("first line\n\nlast line\n")
