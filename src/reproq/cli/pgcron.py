"""`reproq pgcron install|status|uninstall`: has pg_cron fire what is due, in place of a loop of ours."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from reproq.cli import FAILED, FOUND_SOMETHING
from reproq.cli.project import configure, database_options
from reproq.cli.show import as_json_text, json_option
from reproq.errors import PgCronRefused, PgCronUnusable
from reproq.schedule.pgcron import Layout
from reproq.scheduler import pgcron as jobs_of
from reproq.scheduler.pgcron import Looked
from reproq.store.db import opened
from reproq.store.pgcron import JobLine
from reproq.store.statements import Cursor
from reproq.values import lasting


@click.group()
def pgcron() -> None:
    """Have pg_cron fire schedules: install, status, uninstall."""


dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
if_supported = click.option(
    "--if-supported", is_flag=True, help="Where pg_cron cannot be used, say why and end with 0: for deploys everywhere."
)


@pgcron.command("install")
@database_options
@click.option(
    "--layout",
    type=click.Choice([one.value for one in Layout]),
    help="shared: one job fires all (default). each: a job for each schedule. mixed: both. Without it, as it is now.",
)
@click.option("--accept-refused", is_flag=True, help="Install also if some schedules will fire late, or not at all.")
@dry_run
@if_supported
def install_command(
    settings: str | None, layout: str | None, accept_refused: bool, dry_run: bool, if_supported: bool, **flags: Any
) -> int:
    """Make pg_cron's jobs what they should be; run it again at any time. Exits with 3 when a schedule is refused."""
    chosen = None if layout is None else Layout(layout)

    def bring_in_line(cursor: Cursor) -> Looked:
        return jobs_of.install(cursor, chosen, accept_refused=accept_refused, only_look=dry_run)

    try:
        looked = _ask(settings, flags, bring_in_line)
    except PgCronUnusable as error:
        return _unusable(error, if_supported)
    except PgCronRefused as error:
        click.echo(f"{error}\n  or install what can be, with --accept-refused", err=True)
        return FOUND_SOMETHING
    for line in _told(looked):
        click.echo(line)
    return 0


@pgcron.command("uninstall")
@database_options
@dry_run
@if_supported
def uninstall_command(settings: str | None, dry_run: bool, if_supported: bool, **flags: Any) -> int:
    """Take our jobs away, and no others."""
    try:
        gone = _ask(settings, flags, lambda cursor: jobs_of.uninstall(cursor, only_look=dry_run))
    except PgCronUnusable as error:
        return _unusable(error, if_supported)
    for job in gone:
        click.echo(f"removed    {job.name}")
    if not gone:
        click.echo("there are no jobs of ours")
    return 0


@pgcron.command("status")
@database_options
@if_supported
@json_option()
def status_command(settings: str | None, if_supported: bool, as_json: bool, **flags: Any) -> int:
    """Show our jobs, how each last ended, and what an install would change. Exits with 3 when something is wrong."""
    try:
        looked = _ask(settings, flags, jobs_of.look)
    except PgCronUnusable as error:
        return _unusable(error, if_supported)
    if as_json:
        click.echo(as_json_text(asdict(looked)))
    else:
        for line in _shown(looked):
            click.echo(line)
    return 0 if looked.lines and not jobs_of.trouble(looked.lines) and looked.plan.is_done else FOUND_SOMETHING


def last_of(line: JobLine) -> str:
    """How a job last ended, in words."""
    if line.ago_seconds is None:
        return "has not run yet"
    message = f" ({line.last_message.strip()})" if line.has_failed and line.last_message else ""
    return f"{line.last_status} {lasting(line.ago_seconds)} ago{message}"


def _ask[T](settings: str | None, flags: dict[str, Any], question: Callable[[Cursor], T]) -> T:
    config, _ = configure(flags, settings)
    with opened(config.dsn, "reproq pgcron") as database, database.transaction() as cursor:
        return question(cursor)


def _unusable(error: PgCronUnusable, if_supported: bool) -> int:
    if if_supported:
        click.echo(f"pg_cron is not used: {error}")
        return 0
    click.echo(f"Error: {error}", err=True)
    return FAILED


def _told(looked: Looked) -> list[str]:
    plan = looked.plan
    return [
        *(f"removed    {job.name}" for job in plan.remove),
        *(f"changed    {want.name}  {want.schedule}  {want.command}" for want in plan.change),
        *(f"added      {want.name}  {want.schedule}  {want.command}" for want in plan.add),
        *(f"switched off, and left so  {job.name}" for job in plan.keep if not job.active),
        *(f"late       {name}: {reason}" for name, reason in plan.late.items()),
        *(f"refused    {name}: {reason}" for name, reason in plan.refused.items()),
        *(["pg_cron's jobs are as they should be"] if plan.is_done else []),
    ]


def _shown(looked: Looked) -> list[str]:
    version = ".".join(map(str, looked.cron.version))
    plan = looked.plan
    head = f"pg_cron {version}, layout {looked.layout}" if looked.lines else f"pg_cron {version}, no jobs of ours"
    return [
        head,
        *(
            f"{'on ' if line.job.active else 'off'}  {line.job.name}  {line.job.schedule}  {last_of(line)}"
            for line in looked.lines
        ),
        *(f"late  {name}: {reason}" for name, reason in plan.late.items()),
        *(f"refused  {name}: {reason}" for name, reason in plan.refused.items()),
        *([] if plan.is_done else [f"not as it should be: {_difference(looked)}; run: reproq pgcron install"]),
    ]


def _difference(looked: Looked) -> str:
    plan = looked.plan
    counts = {"to add": len(plan.add), "to change": len(plan.change), "to remove": len(plan.remove)}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)
