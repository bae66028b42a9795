"""`reproq runs logs`: what the attempts of a run printed."""

from dataclasses import asdict
from typing import Any

import click

from reproq.cli.project import configure, database_options
from reproq.cli.runs import find_run, runs
from reproq.cli.show import as_json_text, json_option, visible
from reproq.store import logs
from reproq.store.db import opened
from reproq.store.locked import looking
from reproq.store.logs import AttemptLog


@runs.command("logs", short_help="What a run printed.")
@database_options
@click.argument("run_id", metavar="ID")
@click.option("--attempt", type=click.IntRange(1), help="Only this attempt.")
@json_option("For machines: one JSON object an attempt.")
def logs_command(settings: str | None, run_id: str, attempt: int | None, as_json: bool, **flags: Any) -> None:
    """What a run printed: stdout, stderr and logging, its first and its last bytes where it was much."""
    config, _ = configure(flags, settings)
    with opened(config.dsn, "reproq runs") as database, looking(database) as cursor:
        run = find_run(cursor, run_id)
        found = [one for one in logs.of_run(cursor, run.id) if attempt in (None, one.attempt)]
    if as_json:
        for one in found:
            click.echo(as_json_text({"run_id": run.id} | asdict(one)))
        return
    for one in found:
        click.echo(f"--- attempt {one.attempt}, {one.bytes_total:,} bytes")
        _print(one)
    if not found:
        click.echo(f"run {run.id} is {run.status}; nothing that it printed is stored", err=True)


def _print(one: AttemptLog) -> None:
    click.echo(visible(one.head), nl=not one.head.endswith("\n"))
    if one.is_cut:
        click.echo("--- …")
        click.echo(visible(one.tail), nl=not one.tail.endswith("\n"))
