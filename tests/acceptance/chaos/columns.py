"""What the tables of rounds show, on a screen and in docs/reliability.md: names of columns and values, of a round as it
stands in the JSON."""

from typing import Any


def cells(played: dict[str, Any]) -> dict[str, str]:
    """The summary of one round."""
    verdicts = played["verdicts"]
    return {
        "seed": f"{played['seed']}",
        "seconds": f"{played['seconds']:g}",
        "runs": f"{played['runs']:,}",
        "attempts": f"{played['attempts']:,}",
        "faults that hit": f"{sum(played['hits'].values())}",
        "rescues": f"{played['rescues']}",
        "answers lost": f"{played['lost_answers']}",
        "restarts": f"{played['restarts']}",
        "lost": f"{verdicts['lost']}",
        "rolled back, and there": f"{verdicts['never_committed']}",
        "finished twice": f"{verdicts['twice']}",
        "late results": f"{verdicts['late']}",
        "miscounted": f"{verdicts['miscounted']}",
        "wrong ends": f"{verdicts['wrong_end']}",
        "overlaps": f"{verdicts['overlaps']}",
        "memory": f"{played['growth_kilobytes'] / 1024:+.1f} MiB",
        "passed": "no" if played["faults"] else "yes",
    }


def hits(rounds: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The faults that have hit: the seeds, then a row for each kind."""
    rows = [("fault, by seed", *(f"{played['seed']}" for played in rounds))]
    return rows + [(name, *(f"{played['hits'][name]}" for played in rounds)) for name in rounds[0]["hits"]]


def stops(counted: dict[str, Any]) -> dict[str, str]:
    """What came of crashes between claim and end."""
    return {
        "immediate stops": f"{counted['stops']}",
        "claims forgotten, at least": f"{counted['forgotten']}",
        "executions stopped, their lease being lost": f"{counted['leases_lost']}",
        "late results discarded": f"{counted['discarded']}",
        "late results stored": f"{len(counted['late'])}",
        "runs executed twice at one time": f"{counted['overlaps']}",
        "passed": "no" if counted["faults"] else "yes",
    }
