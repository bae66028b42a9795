"""The report that a worker prints at its end, held against what the database knows."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.workers import reproq, statuses, wait_for, worker


def test_a_mock_worker_reports_at_sigint_what_the_database_says(
    dsn: str, log: Path, tmp_path: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    for number in range(40):
        enqueue("add", number, 1)
    # Hours, beside which it makes no difference how long either side took to look at its clock.
    moment = "now() - id * interval '1 hour'"
    pg.execute(f"UPDATE task_runs SET enqueued_at = {moment}, due_at = {moment}")
    file = tmp_path / "report.json"
    settings = {"EXEC_MODE": "mock", "EXEC_SLEEP": "50ms", "REPORT_JSON": str(file)}
    with worker(dsn, log, "--concurrency", "10", **settings) as process:
        wait_for("the runs to end", lambda: statuses(pg) == {"SUCCESSFUL": 40})
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    facts = json.loads(file.read_text())
    assert facts["ends"] == {"succeeded": 40}
    assert facts["claim"]["count"] >= 4
    assert 0.0499 <= facts["execution"]["p50"] <= facts["execution"]["max"] < 0.5
    waits = "SELECT extract(epoch FROM started_at - due_at)::float8 FROM task_runs ORDER BY 1"
    stored = [seconds for (seconds,) in pg.execute(waits)]
    assert facts["queue_wait"]["max"] == pytest.approx(stored[-1], rel=0.04)
    assert facts["queue_wait"]["p50"] == pytest.approx(stored[19], rel=0.04)
    assert "40 succeeded in " in log.read_text()
    assert [path.name for path in tmp_path.iterdir() if "report" in path.name] == ["report.json"]


def test_every_executor_reports_when_it_is_asked_to(dsn: str, enqueue: Callable[..., Any]) -> None:
    enqueue("sleep", 0.2)
    enqueue("fail", "words")
    shown = reproq(dsn, "worker", "--burst", "--report").stdout
    assert "1 succeeded" in shown
    assert "1 retried" in shown
    assert "execution" in shown
    assert "Report" not in reproq(dsn, "worker", "--burst").stdout


def test_a_report_that_could_not_be_written_is_refused_before_any_work(dsn: str, tmp_path: Path) -> None:
    result = reproq(dsn, "worker", "--burst", check=False, REPORT_JSON=str(tmp_path / "no" / "report.json"))
    assert result.returncode == 2
    assert "cannot be written; name a file in a folder that can be" in result.stderr
