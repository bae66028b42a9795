"""`reproq schedules sync|check`."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from reproq.cli import FOUND_SOMETHING
from reproq.cli.show import as_json_text, json_option, unseen
from reproq.scheduler.pgcron import fires_alone, our_jobs
from reproq.store import periodic
from reproq.store.insight import list_workers
from reproq_django.cli.schedules.project import Desk, enter, project_options

if TYPE_CHECKING:
    from reproq_django.sync import SyncReport


@click.command("sync")
@click.option("--prune", is_flag=True, help="Remove what the code declared once and declares no more.")
@click.option("--overwrite", is_flag=True, help="Take the code's word also where somebody has changed the schedule.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option()
@project_options
def sync_command(
    settings: str | None, backend: str | None, prune: bool, overwrite: bool, dry_run: bool, as_json: bool
) -> int:
    """Store what @periodic declares in all task modules. Never switches anything on or off. Exits with 3 when something
    could not be stored."""
    desk = enter(backend, settings)
    from reproq_django.sync import sync

    report = sync(desk.alias, prune=prune, overwrite=overwrite, only_look=dry_run)
    if as_json:
        click.echo(as_json_text(asdict(report)))
    else:
        _print(report)
    return FOUND_SOMETHING if report.problems else 0


def _print(report: "SyncReport") -> None:
    for name in report.created:
        click.echo(f"created    {name}")
    for name, columns in report.updated.items():
        click.echo(f"updated    {name}: {', '.join(columns)}")
    for name, columns_of in report.drifted.items():
        for column, (code, stored) in columns_of.items():
            click.echo(f"drifted    {name}: {column} is {stored!r}, the code says {code!r}; --overwrite takes its word")
    for name in report.pruned:
        click.echo(f"removed    {name}")
    for name in report.gone:
        click.echo(f"gone       {name}: the code does not declare it any more; --prune removes it")
    for name, problem in report.problems.items():
        click.echo(f"refused    {name}: {problem}")
    if report.unchanged:
        click.echo(f"unchanged  {len(report.unchanged)}")


@click.command("check")
@project_options
def check_command(settings: str | None, backend: str | None) -> int:
    """Judge every stored schedule anew, and whether somebody fires them and all that the code declares is stored. Exits
    with 3 when something is wrong."""
    desk = enter(backend, settings)
    from reproq_django.schedule_health import SYNC, cannot_run, in_words, not_stored

    found = [text for _, text in cannot_run(desk.alias, enabled_only=False)] + _overdue(desk)
    if names := not_stored(desk.alias):
        found.append(f"{in_words(names)}: {SYNC}")
    for line in found:
        click.echo(line)
    if not found:
        click.echo("every schedule can fire, and none is overdue")
    return FOUND_SOMETHING if found else 0


def _overdue(desk: Desk) -> list[str]:
    from django.db import connections

    with connections[desk.alias].cursor() as cursor:
        by_pg_cron = fires_alone(our_jobs(cursor), list_workers(cursor), desk.lease_seconds)
        found = periodic.health(cursor, has_beat=not by_pg_cron)
    remedy = "start a worker, or reproq beat"
    return [f"{name} {unseen(seconds)}; {remedy}" for name, seconds in found.overdue.items()]
