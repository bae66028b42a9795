"""`reproq replay --compare`: SAME and DIFFERS, their exit codes, and what is said of runs that do not end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.acceptance.workers import reproq, worker


def test_a_replay_is_compared_and_the_exit_code_says_whether_it_differs(
    dsn: str, log: Path, enqueue: Callable[..., Any]
) -> None:
    same, differs = enqueue("add", 1, 2), enqueue("draw")
    with worker(dsn, log):
        for result, sameness, code in ((same, "SAME", 0), (differs, "DIFFERS", 3)):
            told = reproq(dsn, "replay", result.id, "--compare", "--json", check=False)
            assert (told.returncode, json.loads(told.stdout)["sameness"]) == (code, sameness)


def test_a_comparison_waits_for_both_runs_and_names_the_one_that_does_not_end(
    dsn: str, enqueue: Callable[..., Any]
) -> None:
    first = enqueue("add", 1, 2)
    told = reproq(dsn, "replay", first.id, "--compare", "--wait", "100ms", check=False)
    number = first.id.partition("-")[0]
    assert told.returncode == 1
    assert f"run {number} is still READY after 0.1 s; the replay stays enqueued as run" in told.stderr
