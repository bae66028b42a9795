"""`make chaos`: rounds of random faults. python -m tests.acceptance.chaos --help"""

import argparse
import sys
from pathlib import Path

from tests.acceptance.chaos import report
from tests.acceptance.chaos.plan import LONG_SECONDS
from tests.acceptance.chaos.round import play


def main() -> int:
    """Play the rounds one after the other; 1 when one of them has not passed."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first round")
    parser.add_argument("--seeds", type=int, default=1, help="how many rounds, each of the next seed")
    parser.add_argument("--seconds", type=float, default=LONG_SECONDS, help="how long faults go on, 300 by default")
    parser.add_argument(
        "--json", type=Path, help="a file for the outcomes, which scripts/reliability shows in the docs"
    )
    parser.add_argument("--keep", type=Path, default=Path("var/chaos"), help="where logs of a failed round are left")
    options = parser.parse_args()
    outcomes = []
    for seed in range(options.seed, options.seed + options.seeds):
        report.say(f"seed {seed}, {options.seconds:g} s")
        outcomes.append(play(seed, options.seconds, report.say, options.keep / f"seed-{seed}"))
        report.show_faults(outcomes[-1])
        if options.json:
            report.write(options.json, outcomes)
    report.show(outcomes)
    return 1 if any(outcome.faults for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
