"""The table of `reproq runs list`, by how much room there is."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from reproq.cli.run_table import fitted, print_table
from reproq.store.insight import RunLine

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
WIDTHS = {"id": 2, "status": 10, "failures": 8, "enqueued": 8, "finished": 8, "queue": 7, "task": 20, "error": 40}
ROOM_FOR_ALL = sum(WIDTHS.values()) + 2 * 7


def run_line(number: int = 1, task: str = "shop.tasks.add", message: str | None = None) -> RunLine:
    error = (None, None, None) if message is None else ("exception", "builtins.ValueError", message)
    status = "SUCCESSFUL" if message is None else "FAILED"
    return RunLine(number, 1, task, "default", 0, status, 1, 0, 3, NOW, NOW, NOW, NOW, NOW, "ab", None, *error)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """The lines of a table that no terminal shows, in so many columns."""

    def print_in(columns: int | None, *found: RunLine) -> list[str]:
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns:
            monkeypatch.setenv("COLUMNS", str(columns))
        print_table(found)
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    return print_in


@pytest.mark.parametrize("columns", [None, 200, 100, 90, 80, 60])
def test_tasks_of_two_apps_are_told_apart_wherever_their_paths_fit(
    printed: Callable[..., list[str]], columns: int | None
) -> None:
    _, *rows = printed(columns, run_line(2), run_line(1, "mail.tasks.add"))
    assert [row.split()[-1] for row in rows] == ["shop.tasks.add", "mail.tasks.add"]


def test_a_path_that_does_not_fit_shows_that_its_beginning_is_left_out(printed: Callable[..., list[str]]) -> None:
    _, row = printed(60, run_line(task=f"{'very.' * 20}long.tasks.add", message="no"))
    assert row == "1   FAILED  …y.very.very.very.long.tasks.add  ValueError: no"


def test_a_row_is_one_line_where_no_terminal_shows_it(printed: Callable[..., list[str]]) -> None:
    found = [run_line(2, message="words " * 100), run_line(1, "odd\npath", message="one\ntwo\x1b[2J")]
    for columns in (None, 200, 80, 40):
        assert len(printed(columns, *found)) == 3


def test_what_is_cut_off_an_error_is_visible(printed: Callable[..., list[str]]) -> None:
    _, row = printed(60, run_line(message="words " * 5))
    assert row.endswith("…")
    _, row = printed(None, run_line(message="y" * 500))
    assert row.endswith("… (380 more characters)")


def test_on_a_terminal_an_error_goes_on_in_the_next_line(
    printed: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _, row, *rest = printed(60, run_line(message="words " * 10))
    assert [line.split() for line in (row, *rest)][1:] != []
    assert "…" not in "".join((row, *rest))


def test_columns_vanish_one_by_one_and_status_task_and_error_never() -> None:
    order = []
    known = set(WIDTHS)
    for room in range(ROOM_FOR_ALL, 10, -1):
        left = set(fitted(WIDTHS, room))
        order += sorted(known - left)
        known = left
    assert order == ["queue", "finished", "failures", "enqueued"]
    assert known == {"id", "status", "task", "error"}


@pytest.mark.parametrize("room", range(54, ROOM_FOR_ALL + 20))
def test_the_task_is_whole_and_the_table_has_the_room_that_there_is(room: int) -> None:
    shown = fitted(WIDTHS, room)
    assert shown["task"] == WIDTHS["task"]
    assert 12 <= shown["error"] <= WIDTHS["error"]
    assert sum(shown.values()) + 2 * (len(shown) - 1) <= room


def test_an_id_is_never_cut(printed: Callable[..., list[str]]) -> None:
    _, row = printed(10, run_line(1234567890))
    assert row.startswith("1234567890  SUCCESSFUL  ")
