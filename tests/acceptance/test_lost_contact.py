"""Packets between a real worker and the database vanish: what must not overlap is dead before its lease ends."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.workers import alive, wait_for, worker
from tests.store.proxy import Proxy

LEASE = ("--lease", "9s", "--heartbeat", "1s", "--kill-grace", "3s", "--drain-timeout", "100ms")
"""TERM is enough here, and comes three seconds before the lease ends: time to look whether it still holds."""
LEASES = "SELECT status = 'RUNNING' AND lease_expires_at > clock_timestamp() FROM task_runs ORDER BY id"


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    proxy = Proxy(dsn)
    proxy.listen()
    yield proxy
    proxy.close()


@pytest.mark.slow
@pytest.mark.waits
@pytest.mark.parametrize("executor", ["fork", "pool"])
def test_a_run_that_must_not_overlap_is_dead_before_its_lease_ends_and_its_neighbour_goes_on(
    proxy: Proxy, log: Path, tmp_path: Path, pg: psycopg.Connection, enqueue: Callable[..., Any], executor: str
) -> None:
    enqueue("sleep_with_descendants", str(tmp_path), 600, on_lost_contact="stop")
    enqueue("wait_at", str(tmp_path / "gate"), str(tmp_path / "neighbour"))
    with worker(proxy.dsn, log, *LEASE, "--concurrency", "2", "--executor", executor):
        (found,) = wait_for("the run to start", lambda: list(tmp_path.glob("pids-*[0-9]")))
        wait_for("its neighbour to start", (tmp_path / "neighbour").exists)
        *pids, _template = map(int, found.read_text().split())
        proxy.freeze()
        wait_for("the run and its descendants to die", lambda: not any(map(alive, pids)), 20)
        assert pg.execute(LEASES).fetchall() == [(True,), (True,)], "both leases still hold"
        assert (tmp_path / "neighbour").read_text().split() == ["began"]
        for file in ("let-go", "gate"):
            (tmp_path / file).touch()
        proxy.thaw()
        ended = "SELECT status, attempts, failures, releases FROM task_runs ORDER BY id"
        wanted = [("SUCCESSFUL", 2, 0, 1), ("SUCCESSFUL", 1, 0, 0)]
        wait_for("both to succeed", lambda: pg.execute(ended).fetchall() == wanted)
    assert (tmp_path / "neighbour").read_text().split() == ["began", "ended"]
