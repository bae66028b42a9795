"""Rounds of random faults against real workers on a PostgreSQL of their own."""

import argparse
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from tests.acceptance.chaos import report
from tests.acceptance.chaos.forgotten import repeat
from tests.acceptance.chaos.plan import LONG_SECONDS, plan
from tests.acceptance.chaos.round import Outcome, play


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first round")
    parser.add_argument("--seeds", type=int, default=1, help="how many rounds, each of the next seed")
    parser.add_argument("--seconds", type=float, default=LONG_SECONDS, help="how long faults go on, 300 by default")
    parser.add_argument("--plan", action="store_true", help="only show the schedules of these seeds")
    parser.add_argument("--stops", type=int, help="in place of rounds: so many crashes between claims and their ends")
    parser.add_argument("--json", type=Path, help="a file for what was found, which scripts/reliability shows")
    parser.add_argument("--keep", type=Path, default=Path("var/chaos"), help="where logs of a failed round are left")
    return parser.parse_args()


def main() -> int:
    """Play the rounds one after the other; 1 when one of them has not passed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C does, it ends all that a round has started
    asked = arguments()
    seeds = range(asked.seed, asked.seed + asked.seeds)
    if asked.plan:
        for seed in seeds:
            report.say("\n".join([f"seed {seed}", *map(str, plan(seed, asked.seconds))]))
        return 0
    return stops(asked) if asked.stops else rounds(asked, seeds)


def rounds(asked: argparse.Namespace, seeds: range) -> int:
    """A round of each seed."""
    outcomes: list[Outcome] = []
    for seed in seeds:
        report.say(f"seed {seed}, {asked.seconds:g} s")
        outcomes.append(outcome := play(seed, asked.seconds, report.say, asked.keep / f"seed-{seed}"))
        report.show_faults(outcome.faults)
        report.say(f"seed {seed}: {'failed' if outcome.faults else 'passed'}")
        if asked.json:
            report.write(asked.json, "rounds", [one.as_dict() for one in outcomes])
    report.show(outcomes)
    return 1 if any(outcome.faults for outcome in outcomes) else 0


def stops(asked: argparse.Namespace) -> int:
    """Crashes between claims and their ends."""
    found = repeat(asked.stops, report.say)
    if not found.forgotten:
        found.faults.append("no claim was forgotten, so that no result could be late")
    report.show_faults(found.faults)
    report.show_stops(found)
    if asked.json:
        report.write(asked.json, "stops", asdict(found))
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
