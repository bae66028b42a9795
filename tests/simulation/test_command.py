"""`reproq simulate`: what it prints, what it refuses, and how it exits."""

import psycopg
import pytest

from reproq.cli import FOUND_SOMETHING
from reproq.errors import ConfigurationError, NotMigrated
from reproq_django.cli.simulate import simulate
from tests.simulation import plants


def run(arguments: list[str]) -> object:
    """The command by itself: below the tree of commands it would keep the tree's spelling of --help for other tests."""
    return simulate.main(arguments, standalone_mode=False)


def test_histories_without_a_violation_end_with_a_summary(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--dsn", dsn, "--seed", "5", "--count", "2", "--steps", "20"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 histories in ")
    assert out.endswith("violations: 0\n")


def test_a_history_can_be_read(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--dsn", dsn, "--seed", "5", "--steps", "20", "--show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("seed 5: workers w0 ")
    assert lines[20].startswith("   20 ")
    assert lines[21].startswith("no violation; digest ")


def test_a_violation_is_told_with_its_seed_shrunk_and_exits_with_3(
    dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plants.count_at_the_end(monkeypatch)
    assert run(["--dsn", dsn, "--seed", "5", "--count", "2"]) == FOUND_SOMETHING
    out = capsys.readouterr().out
    assert "\nseed 6: attempts are the claims" in out
    assert "violations: 2\n" in out
    assert "shrunk from 60 events" in out
    assert "\n    1 Enqueue " in out


def test_a_database_with_runs_is_refused_and_left_alone(dsn: str, pg: psycopg.Connection) -> None:
    pg.execute("INSERT INTO task_runs (task_path) VALUES ('shop.tasks.greet')")
    with pytest.raises(ConfigurationError, match="holds runs"):
        run(["--dsn", dsn])
    assert pg.execute("SELECT status FROM task_runs").fetchall() == [("READY",)]


def test_a_database_that_somebody_simulates_in_is_refused(dsn: str, pg: psycopg.Connection) -> None:
    pg.execute("SELECT pg_advisory_lock(hashtextextended('reproq simulate', 0))")
    with pytest.raises(ConfigurationError, match="another simulation"):
        run(["--dsn", dsn])


def test_a_database_that_is_not_migrated_is_refused(empty_dsn: str) -> None:
    with pytest.raises(NotMigrated, match="migrate"):
        run(["--dsn", empty_dsn])


def test_nothing_is_left_behind(dsn: str, pg: psycopg.Connection) -> None:
    assert run(["--dsn", dsn, "--seed", "7", "--steps", "30"]) == 0
    left = "SELECT (SELECT count(*) FROM task_runs), (SELECT count(*) FROM reproq_workers)"
    assert pg.execute(left).fetchone() == (0, 0)


@pytest.mark.slow
def test_without_an_address_it_makes_a_database_for_the_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--seed", "1", "--steps", "10"]) == 0
    assert "1 histories in " in capsys.readouterr().out
