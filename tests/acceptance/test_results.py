"""A value that is hard to store is stored, or refused once: the task is never run again for it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.workers import reproq

STORABLE = [
    pytest.param("zero", "a\0b", marks=pytest.mark.lesson("results-u0000")),
    pytest.param("surrogate", "a\ud800b", marks=pytest.mark.lesson("results-lone-surrogates")),
]
UNSTORABLE = [
    pytest.param("nan", "nan", marks=pytest.mark.lesson("results-nan")),
    pytest.param("large", "10,485,762 bytes", marks=pytest.mark.lesson("results-10-mib")),
]


@pytest.mark.parametrize(("what", "value"), STORABLE)
def test_a_text_that_jsonb_refuses_comes_back_as_it_was(
    what: str, value: str, dsn: str, tmp_path: Path, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("return_and_count", str(tmp_path), what)
    reproq(dsn, "worker", "--burst")
    result.refresh()
    assert result.return_value == value
    assert (tmp_path / "ran").read_text() == "x"


@pytest.mark.parametrize(("what", "reason"), UNSTORABLE)
def test_a_value_that_cannot_be_stored_fails_the_run_once(
    what: str, reason: str, dsn: str, tmp_path: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    result = enqueue("return_and_count", str(tmp_path), what)
    reproq(dsn, "worker", "--burst")
    result.refresh()
    assert (result.status, result.attempts) == ("FAILED", 1)
    assert (tmp_path / "ran").read_text() == "x"
    (errors,) = pg.execute("SELECT errors::text FROM task_runs").fetchone()
    (error,) = json.loads(errors)
    assert error["kind"] == "bad_return"
    assert reason in error["message"].lower()
