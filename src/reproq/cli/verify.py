"""`reproq verify`: does the database keep what Reproq promises? PASS, or the rows that contradict it."""

from typing import Any, Final

import click

from reproq.cli import FAILED, FOUND_SOMETHING
from reproq.cli.project import configure, database_options, flag, seconds_of
from reproq.cli.show import as_json_text, console, json_option, visible
from reproq.loadtest.verify import Bounds, Finding, Offence, Report, invariants
from reproq.loadtest.verify import verify as verify_database
from reproq.store.db import opened

MAX_SHOWN: Final = 10
LONGEST_WINDOW_SECONDS: Final = 36_500 * 86_400.0


@click.command()
@database_options
@flag("lease")
@flag("heartbeat")  # a lease shorter than three of them is refused, and here nothing else could make that right
@click.option(
    "--since",
    default="1d",
    show_default=True,
    metavar="DURATION",
    help="Look at runs enqueued or finished within this time, and at all unfinished ones.",
)
@click.option("--all", "everything", is_flag=True, help="Look at every run that is kept.")
@click.option("--skip", multiple=True, metavar="NAME", help="Leave this invariant out; may be given more than once.")
@json_option()
def verify(
    settings: str | None, since: str, everything: bool, skip: tuple[str, ...], as_json: bool, **flags: Any
) -> int:
    """Prove that nothing is lost and nothing finished twice. Reads only; exits with 3 on any violation."""
    window_seconds = None if everything else _window(since)
    _check_names(skip)
    config, _ = configure(flags, settings)
    bounds = Bounds(lease_seconds=config.lease, pause_seconds=2 * config.poll_interval + 1.0)
    with opened(config.dsn, "reproq verify") as database:
        report = verify_database(database, bounds, window_seconds=window_seconds, skipped=frozenset(skip))
    if as_json:
        click.echo(as_json_text(_facts(report)))
    else:
        _print(report)
    if report.violated:
        return FOUND_SOMETHING
    return 0 if report.is_whole else FAILED


def _window(since: str) -> float:
    seconds = seconds_of("--since", since)
    if not 0 < seconds <= LONGEST_WINDOW_SECONDS:
        raise click.UsageError(f"--since = {since!r} is outside 0 to 36500d; for every run say --all")
    return seconds


def _check_names(skip: tuple[str, ...]) -> None:
    known = [one.name for one in invariants()]
    if unknown := [name for name in skip if name not in known]:
        raise click.UsageError(f"--skip = {unknown[0]!r} is no invariant; there are: {', '.join(known)}")


def _outcome(finding: Finding) -> str:
    if finding.count:
        return "FAIL"
    return "UNKNOWN" if finding.unanswered else "PASS"


def _facts(report: Report) -> dict[str, Any]:
    return {
        "ok": report.is_whole and not report.violated,
        "runs": report.runs,
        "cut": report.is_cut,
        "invariants": [
            {
                "name": finding.invariant.name,
                "claim": finding.invariant.claim,
                "outcome": _outcome(finding),
                "reason": finding.unanswered,
                "count": finding.count,
                "offences": [{"id": offence.subject, "what": offence.what} for offence in finding.offences],
            }
            for finding in report.findings
        ],
    }


def _print(report: Report) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    styles = {"PASS": "green", "FAIL": "bold red", "UNKNOWN": "yellow"}
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in report.findings:
        outcome = _outcome(finding)
        table.add_row(Text(outcome, styles[outcome]), finding.invariant.name, finding.invariant.claim)
    out.print(table)
    for finding in report.violated:
        out.print(f"\n{finding.invariant.name}: {finding.invariant.claim}", soft_wrap=True)
        for offence in finding.offences[:MAX_SHOWN]:
            out.print(f"  {_line(offence)}", soft_wrap=True)
        if (more := finding.count - MAX_SHOWN) > 0:
            out.print(f"  … and {more:,} more", soft_wrap=True)
    for finding in report.unanswered:
        out.print(f"\n{finding.invariant.name}: {finding.unanswered}", soft_wrap=True)
    if report.is_cut:
        out.print("\nthere are more unfinished runs older than the window; look at all with --all", soft_wrap=True)
    out.print(f"\n{report.runs:,} runs looked at: {_summary(report)}", soft_wrap=True)


def _line(offence: Offence) -> str:
    subject = f"run {offence.subject}" if isinstance(offence.subject, int) else offence.subject
    return visible(f"{subject}: {offence.what}")


def _summary(report: Report) -> str:
    asked = len(report.findings)
    if report.violated:
        return f"FAIL, {len(report.violated)} of {asked} invariants are violated"
    if not report.is_whole:
        return f"UNKNOWN, {len(report.unanswered)} of {asked} invariants could not be answered"
    return f"PASS, all {asked} invariants hold"
