"""The database is away for three leases while tasks run: no attempt is lost, and no task runs twice."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from reproq_django.embedded.server import Server
from tests.acceptance.workers import TASKS, reproq, statuses, wait_for, worker
from tests.plugins.databases import own_server, prepare

LEASE_SECONDS = 4.0
LEASE = ("--lease", f"{LEASE_SECONDS:g}s", "--heartbeat", "500ms")
OUTAGE_SECONDS = 3 * LEASE_SECONDS


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """A server that this test alone uses and may stop, and the address of a migrated database on it."""
    with own_server(tmp_path).running(mode="immediate") as server:
        yield server, prepare(server.conninfo())


def marks(folder: Path) -> dict[str, list[str]]:
    """What each task wrote: a line when its body began, one when it ended."""
    return {path.name: path.read_text().split() for path in folder.glob("run-*")}


@pytest.mark.slow
@pytest.mark.waits
def test_an_outage_of_three_leases_costs_no_attempt_and_nothing_runs_twice(
    own: tuple[Server, str], tmp_path: Path
) -> None:
    server, dsn = own
    names = [f"run-{number}" for number in range(8)]
    insert = "INSERT INTO task_runs (task_path, args) VALUES (%s, json_build_array(%s::text, %s::text))"
    with psycopg.connect(dsn, autocommit=True) as pg:
        for number, name in enumerate(names):  # half of them end during the outage, half of them after it
            gate = tmp_path / ("away" if number % 2 else "back")
            pg.execute(insert, [f"{TASKS}.wait_at", str(gate), str(tmp_path / name)])
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    with worker(dsn, logs[0], *LEASE, "--concurrency", "4"), worker(dsn, logs[1], *LEASE, "--concurrency", "4"):
        wait_for("all runs to start", lambda: len(marks(tmp_path)) == len(names))
        with psycopg.connect(dsn, autocommit=True) as pg:
            pg.execute("CHECKPOINT")  # a claim's commit is asynchronous, and a crash may forget it until then
        server.stop("immediate")
        until = time.monotonic() + OUTAGE_SECONDS
        (tmp_path / "away").touch()
        assert reproq(dsn, "status", "--here", check=False).returncode == 1, "a readiness probe is red"
        wait_for("half of the runs to end", lambda: sorted(map(len, marks(tmp_path).values())) == [1] * 4 + [2] * 4)
        time.sleep(max(0.0, until - time.monotonic()))
        server.start()
        (tmp_path / "back").touch()
        with psycopg.connect(dsn, autocommit=True) as pg:
            wait_for("all runs to end", lambda: statuses(pg) == {"SUCCESSFUL": len(names)}, 60)
            rows = pg.execute("SELECT DISTINCT attempts, failures, releases, errors::text FROM task_runs").fetchall()
    assert rows == [(1, 0, 0, "[]")]
    assert marks(tmp_path) == {name: ["began", "ended"] for name in names}
    for log in logs:
        assert (log.read_text().count("database lost"), log.read_text().count("database back")) == (1, 1)
        assert "run.rescued" not in log.read_text()
    assert reproq(dsn, "verify", *LEASE, "--skip", "crash_safe_settings").returncode == 0
