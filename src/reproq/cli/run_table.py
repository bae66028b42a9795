"""The table of `reproq runs list`: which columns it has where there is little room, and what is cut.

A task's path is whole wherever that can be, since one pastes it into `--task`. Only on a terminal does an error go on
in the next line: elsewhere a row is a line, so that `grep` and `wc` count runs.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from reproq.cli.show import console, visible, when_short
from reproq.error_lines import error_line
from reproq.lifecycle import Status
from reproq.store.insight import RunLine

GAP: Final = 2
"""Blanks between two columns."""
YIELDS_TO: Final = {"queue": 60, "finished": 60, "failures": 24, "enqueued": 24}
"""Columns that vanish one by one, in this order, as long as the tasks are not whole, or an error has less than this."""
MAX_ERROR_CHARS: Final = 120
LEAST_ERROR: Final = 12
"""What an error has at least, where that keeps the tasks whole."""
READABLE_ERROR: Final = 24
"""What it has beside a task that is cut all the same."""
CUT: Final = "…"


def print_table(found: Sequence[RunLine]) -> None:
    """Print runs, one a row."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    if not found:
        out.print("no runs")
        return
    folds = sys.stdout.isatty()
    columns = _columns(found)
    widths = _widths(columns)
    if not folds and "COLUMNS" not in os.environ:
        out.width = _needed(widths)
    widths = fitted(widths, out.width)
    out.width = max(out.width, _needed(widths))  # an id that is cut would be another run's
    columns["task"] = [_end_of(path, widths["task"]) for path in columns["task"]]
    if not folds:
        columns["error"] = [_beginning_of(text, widths["error"]) for text in columns["error"]]
    table = Table(box=None, pad_edge=False)
    for name, width in widths.items():
        table.add_column(name, width=width, no_wrap=name != "error" or not folds, overflow="fold")
    for row in zip(*(columns[name] for name in widths), strict=True):
        table.add_row(*map(Text, row))
    out.print(table)


def fitted(widths: Mapping[str, int], room: int) -> dict[str, int]:
    """The columns that are shown in so much room, and how wide each is then."""
    shown = dict(widths)
    for name, wanted in YIELDS_TO.items():
        if _needed(shown) - max(0, widths["error"] - wanted) > room:
            del shown[name]
    is_enough = _needed(shown) - max(0, widths["error"] - LEAST_ERROR) <= room
    for name, least in (("error", LEAST_ERROR if is_enough else READABLE_ERROR), ("task", len("task"))):
        left = shown[name] + room - _needed(shown)
        shown[name] = min(widths[name], max(least, left))
    return shown


def _needed(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _widths(columns: Mapping[str, Sequence[str]]) -> dict[str, int]:
    from rich.cells import cell_len

    return {name: max(map(cell_len, (name, *cells))) for name, cells in columns.items()}


def _columns(found: Sequence[RunLine]) -> dict[str, list[str]]:
    columns = {
        "id": [str(run.id) for run in found],
        "status": [run.status for run in found],
        "failures": [f"{run.failures}/{run.max_attempts}" for run in found],
        "enqueued": [when_short(run.enqueued_at) for run in found],
        "finished": [when_short(run.finished_at) for run in found],
        "queue": [run.queue_name for run in found],
        "task": [run.task_path for run in found],
        "error": [_error(run) for run in found],
    }
    return {name: [visible(cell).replace("\n", "\\n") for cell in cells] for name, cells in columns.items()}


def _end_of(path: str, width: int) -> str:
    """A path, or as much of its end as there is room for: the function says more than the project."""
    return path if len(path) <= width else CUT + path[len(path) - width + len(CUT) :]


def _beginning_of(text: str, width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - len(CUT)) + CUT


def _error(run: RunLine) -> str:
    if not run.error_kind or run.status == Status.SUCCESSFUL:
        return ""
    return error_line(run.error_kind, run.error_class, run.error_message, MAX_ERROR_CHARS)
