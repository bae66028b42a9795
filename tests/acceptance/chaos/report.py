"""Shows what came of rounds: on a screen, and as JSON. What is in a table is named in columns.py."""

import json
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from tests.acceptance.chaos.round import Outcome

MOST_SHOWN = 20
console = Console(width=150, highlight=False)


def say(text: str) -> None:
    """A line of the round under way."""
    console.print(text, markup=False)


def show_faults(outcome: Outcome) -> None:
    """Why a round has not passed, in full sentences."""
    for fault in outcome.faults[:MOST_SHOWN]:
        say(f"FAILED {fault}")
    if (more := len(outcome.faults) - MOST_SHOWN) > 0:
        say(f"FAILED … and {more} more")
    say(f"seed {outcome.seed}: {'failed' if outcome.faults else 'passed'}")


def cells(round_: dict[str, object]) -> dict[str, str]:
    """The columns of the summary and their values, of a round as it stands in the JSON."""
    verdicts = round_["verdicts"]
    assert isinstance(verdicts, dict)
    return {
        "seed": f"{round_['seed']}",
        "runs": f"{round_['runs']:,}",
        "attempts": f"{round_['attempts']:,}",
        "rescues": f"{round_['rescues']}",
        "lost answers": f"{round_['lost_answers']}",
        "restarts": f"{round_['restarts']}",
        "lost": f"{verdicts['lost'] + verdicts['never_committed']}",
        "finished twice": f"{verdicts['twice']}",
        "late results": f"{verdicts['late']}",
        "miscounted": f"{verdicts['miscounted']}",
        "wrong ends": f"{verdicts['wrong_end']}",
        "overlaps": f"{verdicts['overlaps']}",
        "memory, kB": f"{round_['growth_kilobytes']:+,}",
        "passed": "no" if round_["faults"] else "yes",
    }


def hit_cells(round_: dict[str, object]) -> dict[str, str]:
    """The faults that have hit, by kind."""
    hits = round_["hits"]
    assert isinstance(hits, dict)
    return {"seed": f"{round_['seed']}"} | {name: f"{number}" for name, number in hits.items()}


def show(outcomes: list[Outcome]) -> None:
    """Both tables; of the hits, a row for each kind."""
    rows = [outcome.as_dict() for outcome in outcomes]
    summary = Table(*(cells(rows[0])))
    for row in rows:
        summary.add_row(*cells(row).values())
    console.print(summary)
    hits = Table("faults that hit, of seed", *(hit_cells(row)["seed"] for row in rows))
    for name in list(hit_cells(rows[0]))[1:]:
        hits.add_row(name, *(hit_cells(row)[name] for row in rows))
    console.print(hits)


def write(path: Path, outcomes: list[Outcome]) -> None:
    """All outcomes as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"rounds": [outcome.as_dict() for outcome in outcomes], "libpq": psycopg.pq.version()}
    path.write_text(json.dumps(document, indent=1) + "\n")
