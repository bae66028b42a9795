"""`reproq simulate`: what it prints, what it refuses, and how it exits."""

import psycopg
import pytest

from reproq.cli import FOUND_SOMETHING, USAGE, run
from tests.simulation import plants


def test_histories_without_a_violation_end_with_a_summary(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--dsn", dsn, "--seed", "5", "--count", "2", "--steps", "20"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 histories in ")
    assert out.endswith("violations: 0\n")


def test_a_history_can_be_read(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--dsn", dsn, "--seed", "5", "--steps", "20", "--show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("seed 5: workers w0 ")
    assert lines[20].startswith("   20 ")
    assert lines[21].startswith("no violation; digest ")


def test_a_violation_is_told_with_its_seed_shrunk_and_exits_with_3(
    dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plants.count_at_the_end(monkeypatch)
    assert run(["simulate", "--dsn", dsn, "--seed", "5", "--count", "2"]) == FOUND_SOMETHING
    out = capsys.readouterr().out
    assert "\nseed 6: attempts are the claims" in out
    assert "violations: 2\n" in out
    assert "shrunk from 60 events" in out
    assert "\n    1 Enqueue " in out


def test_a_database_with_runs_is_refused_and_left_alone(
    dsn: str, pg: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    pg.execute("INSERT INTO task_runs (task_path) VALUES ('shop.tasks.greet')")
    assert run(["simulate", "--dsn", dsn]) == USAGE
    assert "holds runs" in capsys.readouterr().err
    assert pg.execute("SELECT status FROM task_runs").fetchall() == [("READY",)]


def test_a_database_that_somebody_simulates_in_is_refused(
    dsn: str, pg: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    pg.execute("SELECT pg_advisory_lock(hashtextextended('reproq simulate', 0))")
    assert run(["simulate", "--dsn", dsn]) == USAGE
    assert "another simulation" in capsys.readouterr().err


def test_a_database_that_is_not_migrated_is_refused(empty_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--dsn", empty_dsn]) == 1
    assert "migrate" in capsys.readouterr().err


def test_nothing_is_left_behind(dsn: str, pg: psycopg.Connection) -> None:
    assert run(["simulate", "--dsn", dsn, "--seed", "7", "--steps", "30"]) == 0
    left = "SELECT (SELECT count(*) FROM task_runs), (SELECT count(*) FROM reproq_workers)"
    assert pg.execute(left).fetchone() == (0, 0)


@pytest.mark.slow
def test_without_an_address_it_makes_a_database_for_the_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--seed", "1", "--steps", "10"]) == 0
    assert "1 histories in " in capsys.readouterr().out
