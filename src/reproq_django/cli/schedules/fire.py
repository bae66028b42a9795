"""`reproq schedules run|skip`."""

import click

from reproq.cli import FAILED
from reproq.cli.show import when
from reproq.store import periodic
from reproq_django.cli.schedules.look import clock
from reproq_django.cli.schedules.project import enter, project_options


@click.command("run")
@click.argument("name")
@project_options
def run_command(settings: str | None, backend: str | None, name: str) -> int:
    """Fire a schedule now, beside its timetable, also while it is paused. Exits with 1 when overlap forbids it."""
    from django.db import connections, transaction

    desk = enter(backend, settings)
    job = desk.find(name)
    with transaction.atomic(using=desk.alias), connections[desk.alias].cursor() as cursor:
        (fired,) = periodic.fire(cursor, name, clock(desk))
    if fired.run_id is None:
        job.refresh_from_db()
        click.echo(f"{name} is {fired.outcome}: its run {job.last_run_id} has not finished (overlap {job.overlap})")
        return FAILED
    click.echo(f"run {fired.run_id} is enqueued")
    return 0


@click.command("skip")
@click.argument("name")
@project_options
def skip_command(settings: str | None, backend: str | None, name: str) -> int:
    """Leave out the next tick of a schedule, and no other."""
    from django.db import connections, transaction

    desk = enter(backend, settings)
    desk.find(name)
    with transaction.atomic(using=desk.alias), connections[desk.alias].cursor() as cursor:
        skipped = periodic.skip(cursor, name)
    if skipped is None:
        click.echo(f"{name} has no next tick to skip; it has ended, is paused, or no scheduler has seen it", err=True)
        return FAILED
    click.echo(f"{name} skips {when(skipped)}; next run {when(desk.find(name).next_run_at)}")
    return 0
