"""`reproq schedules add|edit|pause|resume|remove`."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click
from psycopg.errors import UniqueViolation

from reproq.cli.project import seconds_of
from reproq.cli.show import when
from reproq.errors import ConfigurationError
from reproq.schedule.timing import CatchUp, Overlap
from reproq.store.runs import CONTINUE, STOP
from reproq_django.cli.schedules.project import Desk, enter, project_options

if TYPE_CHECKING:
    from reproq_django.periodic_tasks import PeriodicTask

NOTHING: Final = "none"
"""What takes a value away again."""
DURATIONS: Final = {"jitter": "jitter_seconds", "timeout": "timeout_seconds", "expires_in": "expires_in_seconds"}


def column_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for every column that people decide."""
    options = [
        click.option("--args", "args", metavar="JSON", help="Positional arguments, a JSON array."),
        click.option("--kwargs", "kwargs", metavar="JSON", help="Keyword arguments, a JSON object."),
        click.option("--time-zone", metavar="ZONE", help="An IANA name; by default Django's TIME_ZONE."),
        click.option("--queue", "queue_name", metavar="NAME", help="The queue of its runs."),
        click.option("--priority", type=int, help="The priority of its runs; higher first."),
        click.option(
            "--overlap",
            type=click.Choice([one.value for one in Overlap]),
            help="While the run before has not finished.",
        ),
        click.option(
            "--catch-up", type=click.Choice([one.value for one in CatchUp]), help="Which missed ticks are made up for."
        ),
        click.option("--catch-up-bound", type=int, help="How many of them at most."),
        click.option("--jitter", metavar="DURATION", help="Due later by up to this; drawn from the name."),
        click.option("--start-at", metavar="ISO", help=f"Not due before; {NOTHING} takes it away."),
        click.option("--end-at", metavar="ISO", help=f"Not due afterwards; {NOTHING} takes it away."),
        click.option("--max-attempts", type=int, help="Counted tries of a run."),
        click.option("--timeout", metavar="DURATION", help=f"What one try may take; {NOTHING}: the worker's."),
        click.option("--expires-in", metavar="DURATION", help=f"How long a run may still start; {NOTHING}: for ever."),
        click.option(
            "--on-lost-contact",
            type=click.Choice([CONTINUE, STOP]),
            help="What a run does while its worker has lost the database.",
        ),
        click.option("--description", help="What it is for."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command("add")
@click.argument("name")
@click.argument("cron_expr", metavar="CRON")
@click.argument("task_path", metavar="TASK")
@column_options
@click.option("--paused", is_flag=True, help="Do not switch it on yet.")
@project_options
def add_command(settings: str | None, backend: str | None, paused: bool, **columns: Any) -> None:
    """Make a schedule: NAME, a CRON expression, and the path of the TASK."""
    desk = enter(backend, settings)
    from reproq_django.periodic_tasks import PeriodicTask

    job = PeriodicTask(backend=desk.backend, enabled=not paused, **_read(columns))
    if PeriodicTask.objects.using(desk.alias).filter(name=job.name).exists():
        raise ConfigurationError(
            f"name: there is a schedule {job.name!r} already; change it: reproq schedules edit, or name another"
        )
    _save(desk, job)
    click.echo(f"{job.name} is added; {_next(job)}")


@click.command("edit")
@click.argument("name")
@click.option("--cron", "cron_expr", metavar="CRON", help="Another expression.")
@click.option("--task", "task_path", metavar="TASK", help="Another task.")
@click.option("--rename", metavar="NAME", help="Another name.")
@column_options
@project_options
def edit_command(settings: str | None, backend: str | None, name: str, rename: str | None, **columns: Any) -> None:
    """Change what is named, and leave the rest."""
    desk = enter(backend, settings)
    job = desk.find(name)
    changes = _read(columns) | ({"name": rename} if rename else {})
    if not changes:
        raise click.UsageError("nothing is to be changed; name a column, such as --cron '0 3 * * *'")
    for column, value in changes.items():
        setattr(job, column, value)
    _save(desk, job, list(changes))
    click.echo(f"{job.name} is changed; {_next(job)}")
    if job.declared is not None:
        click.echo("the code declares it: reproq schedules sync will tell of the difference, and leave it", err=True)


def _read(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns that are given, as values."""
    given = {name: value for name, value in columns.items() if value is not None}
    values: dict[str, Any] = {}
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        if name in DURATIONS:
            values[DURATIONS[name]] = None if value == NOTHING else seconds_of(flag, value)
        elif name in ("start_at", "end_at"):
            values[name] = None if value == NOTHING else _moment(flag, value)
        elif name in ("args", "kwargs"):
            values[name] = _document(flag, value)
        else:
            values[name] = value
    return values


def _document(flag: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{flag} = {text!r} is not JSON ({error})") from None


def _moment(flag: str, text: str) -> datetime:
    from django.utils import timezone

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{flag} = {text!r} is not a moment such as 2030-01-01T12:00:00+01:00") from None
    return moment if moment.tzinfo else timezone.make_aware(moment)


def _save(desk: Desk, job: "PeriodicTask", columns: list[str] | None = None) -> None:
    """Store it, or say every fault with its field. Of one that is there only the columns that were changed: somebody
    may have paused it, and a sync noted what the code says, since it was read."""
    from django.core.exceptions import ValidationError
    from django.db import IntegrityError

    try:
        job.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        faults = [f"{column}: {text}" for column, texts in error.message_dict.items() for text in texts]
        raise ConfigurationError("\n".join(faults)) from None
    try:
        job.save(using=desk.alias, update_fields=columns)
    except IntegrityError as error:
        if not isinstance(error.__cause__, UniqueViolation):
            raise
        raise ConfigurationError(f"name: there is a schedule {job.name!r} already; name another") from None


def _next(job: "PeriodicTask") -> str:
    if not job.enabled:
        return "it is paused"
    return f"next run {when(job.next_run_at)}" if job.next_run_at else "it fires no more"


@click.command("pause")
@click.argument("name")
@project_options
def pause_command(settings: str | None, backend: str | None, name: str) -> None:
    """Switch a schedule off until somebody resumes it; no sync switches it on."""
    _switch(settings, backend, name, on=False)


@click.command("resume")
@click.argument("name")
@project_options
def resume_command(settings: str | None, backend: str | None, name: str) -> None:
    """Switch a schedule on again; what fell into the pause was not missed."""
    _switch(settings, backend, name, on=True)


def _switch(settings: str | None, backend: str | None, name: str, *, on: bool) -> None:
    desk = enter(backend, settings)
    job = desk.find(name)
    job.enabled = on
    job.save(using=desk.alias, update_fields=["enabled"])
    click.echo(f"{name} is {'on' if on else 'paused'}" + (f"; {_next(job)}" if on else ""))


@click.command("remove")
@click.argument("name")
@project_options
def remove_command(settings: str | None, backend: str | None, name: str) -> None:
    """Remove a schedule. Its runs stay."""
    desk = enter(backend, settings)
    job = desk.find(name)
    declared = job.declared is not None
    job.delete(using=desk.alias)
    click.echo(f"{name} is removed")
    if declared:
        click.echo("the code declares it: the next sync makes it anew; pause it instead, or change the code", err=True)
