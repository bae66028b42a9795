"""Shows what came of rounds: on a screen, and as JSON. What stands in a table is in columns.py."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from reproq.loadtest.bench.machine import machine
from tests.acceptance.chaos import columns
from tests.acceptance.chaos.forgotten import Stops
from tests.acceptance.chaos.round import Outcome
from tests.plugins.databases import version

MOST_SHOWN = 20


def say(text: str) -> None:
    """A line of the round under way."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def show_faults(faults: list[str]) -> None:
    """Why something has not passed, in full sentences."""
    for fault in faults[:MOST_SHOWN]:
        say(f"FAILED {fault}")
    if (more := len(faults) - MOST_SHOWN) > 0:
        say(f"FAILED … and {more} more")


def show(outcomes: list[Outcome]) -> None:
    """Both tables, a column for each seed."""
    rounds = [outcome.as_dict() for outcome in outcomes]
    summaries = [columns.cells(played) for played in rounds]
    _print([(name, *(summary[name] for summary in summaries)) for name in summaries[0]])
    _print(columns.hits(rounds))


def show_stops(stops: Stops) -> None:
    """What came of crashes between claim and end."""
    _print(list(columns.stops(asdict(stops)).items()))


def write(path: Path, name: str, what: Any) -> None:
    """What was found, as JSON, with the machine that it was found on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": asdict(machine(str(version()))), name: what}
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def _print(rows: list[tuple[str, ...]]) -> None:
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    Console(width=160, highlight=False).print(table)
