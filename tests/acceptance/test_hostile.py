"""A worker that is given all harm at once, beside honest runs: those succeed, and the rest fails once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.test_logs import resident_megabytes
from tests.acceptance.workers import QUICK, reproq, statuses, wait_for, worker
from tests.executors.test_hostile import HUNDREDS, PROCESSES, bomb

HONEST = 50
MAX_MEMORY = str(512 << 20)


@pytest.mark.alone
@pytest.mark.slow
def test_all_harm_beside_fifty_honest_runs_fails_alone_and_the_database_verifies(
    dsn: str, log: Path, tmp_path: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    harm = {
        "allocates": [4_000_000_000],
        "blocks_all_signals": [],
        "bombs": [PROCESSES, str(tmp_path / "full")],
        "closes_all": [],
        "fills_its_log": [HUNDREDS],
        "kills_its_group": [],
        "kills_its_parent": [],
        "opens_everything": [],
        "replies_endlessly": [HUNDREDS],
        "replies_in_drops": [60],
        "stops_itself": [],
    }
    honest = [enqueue("sleep", 0.05) for _ in range(HONEST // 2)]
    lasting = {"fills_its_log": {"timeout": 120}}  # the only one that is to succeed
    hostile = {name: enqueue("harm", name, given, **lasting.get(name, {})) for name, given in harm.items()}
    honest += [enqueue("sleep", 0.05) for _ in range(HONEST - len(honest))]
    with worker(dsn, log, "--concurrency", "4", "--max-memory", MAX_MEMORY) as process:
        wanted = {"SUCCESSFUL": HONEST + 1, "FAILED": len(harm) - 1}
        wait_for("all to end", lambda: statuses(pg) == wanted or not alive_or_fail(process, log), 240)
        wait_for("the bomb to be gone", lambda: not bomb(tmp_path / "full"), 20)
        largest = resident_megabytes(process.pid)
    for result in [*honest, *hostile.values()]:
        result.refresh()
    assert [result.errors for result in honest] == [[]] * HONEST, "no honest run has failed even once"
    assert {name: len(result.errors) for name, result in hostile.items()} == {
        name: int(name != "fills_its_log") for name in harm
    }
    assert largest < 120, log.read_text()
    assert reproq(dsn, "verify", *QUICK[:4], "--skip", "crash_safe_settings").returncode == 0


def alive_or_fail(process: Any, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return True
