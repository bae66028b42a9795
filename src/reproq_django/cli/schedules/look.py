"""`reproq schedules list|show|next`."""

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

import click

from reproq.cli.show import as_json_text, console, json_option, visible, when, when_short
from reproq.errors import InvalidSchedule
from reproq.schedule.expression import parse
from reproq.schedule.timing import understood
from reproq.schedule.zones import effect, zone_named
from reproq.values import lasting
from reproq_django.cli.schedules.project import Desk, enter, project_options
from reproq_django.periodic_rules import aware, written

if TYPE_CHECKING:
    from reproq_django.periodic_tasks import PeriodicTask

LAST_TICKS: Final = 10
ALL_ON_ONE_PAGE: Final = 10_000


@click.command("list")
@project_options
@json_option("For machines: one JSON object a line.")
def list_command(settings: str | None, backend: str | None, as_json: bool) -> None:
    """Every schedule: in words, its last and next run (in its own zone), and what is overdue."""
    desk = enter(backend, settings)
    from reproq_django.periodic_tasks import PeriodicTask

    jobs = list(PeriodicTask.objects.using(desk.alias).order_by("name")[:ALL_ON_ONE_PAGE])
    statuses = _statuses(desk, [job.last_run_id for job in jobs if job.last_run_id])
    now = clock(desk)
    lines = [_line(job, statuses, now) for job in jobs]
    if as_json:
        for line in lines:
            click.echo(as_json_text(line))
        return
    _print_table(lines)
    _say_not_stored(desk)


def _say_not_stored(desk: Desk) -> None:
    from reproq_django.schedule_health import SYNC, in_words, not_stored

    if names := not_stored(desk.alias):
        click.echo(f"{in_words(names)}: {SYNC}", err=True)


def _statuses(desk: Desk, run_ids: list[int]) -> dict[int, str]:
    from reproq_django.models import TaskRun

    return dict(TaskRun.objects.using(desk.alias).filter(id__in=run_ids).values_list("id", "status"))


def clock(desk: Desk) -> datetime:
    """The database's clock."""
    from django.db import connections

    from reproq.store.server import server_facts

    with connections[desk.alias].cursor() as cursor:
        return datetime.fromtimestamp(server_facts(cursor).epoch_seconds, UTC)


def _line(job: "PeriodicTask", statuses: dict[int, str], now: datetime) -> dict[str, Any]:
    next_run_at = aware(job.next_run_at) if job.enabled and job.next_run_at else None
    late = (now - next_run_at).total_seconds() if next_run_at else 0.0
    return {
        "name": job.name,
        "state": state_of(job),
        "cron_expr": job.cron_expr,
        "words": words_of(job.cron_expr),
        "time_zone": job.time_zone,
        "task_path": job.task_path,
        "origin": job.origin,
        "next_run_at": next_run_at,
        "last_run_at": _aware(job.last_run_at),
        "last_status": statuses.get(job.last_run_id) if job.last_run_id else None,
        "overdue_seconds": round(late, 3) if late >= 1 else None,
        "fault": job.fault or None,
    }


def state_of(job: "PeriodicTask") -> str:
    """Whether it fires, in a word."""
    if not job.enabled:
        return "paused"
    if job.fault:
        return "fault"
    return "ended" if job.refill_at is None and not job.upcoming else "on"


def words_of(expression: str) -> str:
    """What an expression says, in English; as it is written where it says nothing that can be read."""
    try:
        return parse(expression).words
    except InvalidSchedule:
        return expression


def _zone(name: str) -> tuple[tzinfo, str]:
    """The zone in which a line shows its times, and how it says so."""
    try:
        return zone_named(name), name
    except InvalidSchedule:
        return UTC, f"{name} (shown in UTC)"


def _print_table(lines: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        "name", "state", "when", "zone", "next run", "last run", "status", "overdue", box=None, pad_edge=False
    )
    for line in lines:
        overdue = lasting(line["overdue_seconds"]) if line["overdue_seconds"] else ""
        zone, name_of_zone = _zone(line["time_zone"])
        times = (when_short(line["next_run_at"], zone), when_short(line["last_run_at"], zone))
        cells = (
            line["name"],
            line["state"],
            line["words"],
            name_of_zone,
            *times,
            line["last_status"] or "",
            overdue,
        )
        table.add_row(*(Text(visible(cell)) for cell in cells))
    out = console()
    out.print(table if lines else "no schedules")
    for line in lines:
        if line["fault"]:
            out.print(f"{visible(line['name'])}: {visible(line['fault'])}")


@click.command("show")
@project_options
@click.argument("name")
@json_option()
def show_command(settings: str | None, backend: str | None, name: str, as_json: bool) -> None:
    """Everything about one schedule, and its last ticks. Exits with 4 when there is none."""
    desk = enter(backend, settings)
    job = desk.find(name)
    from reproq_django.periodic_tasks import Tick

    values = {field.name: getattr(job, field.name) for field in job._meta.fields} | {"upcoming": job.upcoming[:5]}
    facts = {name: _aware(value) for name, value in values.items()} | {"words": words_of(job.cron_expr)}
    newest = Tick.objects.using(desk.alias).filter(periodic_task_id=job.pk).order_by("-due_at")[:LAST_TICKS]
    ticks = [{"due_at": aware(tick.due_at), "outcome": tick.outcome, "run_id": tick.run_id} for tick in newest]
    if as_json:
        click.echo(as_json_text(facts | {"ticks": ticks}))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in facts.items():
        if value not in (None, "", []):
            table.add_row(key, Text(visible(_shown(value))))
    for tick in ticks:
        ran = f", run {tick['run_id']}" if tick["run_id"] else ""
        table.add_row("tick", f"{when(tick['due_at'])}  {tick['outcome']}{ran}")
    console().print(table)


def _aware(value: Any) -> Any:
    if isinstance(value, list):
        return [_aware(one) for one in value]
    return aware(value) if isinstance(value, datetime) else value


def _shown(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], datetime):
        return "  ".join(map(when, value))
    return when(value) if isinstance(value, datetime) else str(value)


@click.command("next")
@project_options
@click.argument("name")
@click.option("-n", "count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many.")
@json_option("For machines: one JSON object a line.")
def next_command(settings: str | None, backend: str | None, name: str, count: int, as_json: bool) -> None:
    """The next moments of a schedule, in its zone and in UTC, and what changes of the clock do to them."""
    desk = enter(backend, settings)
    job = desk.find(name)
    timing = understood(written(job))
    due = timing.due(clock(desk))
    for _, moment in zip(range(count), due, strict=False):
        local = moment.astimezone(timing.zone)
        mark = effect(timing.expression, timing.zone, moment - timing.offset).value
        if as_json:
            click.echo(as_json_text({"local": local, "utc": moment, "effect": mark or None}))
        else:
            times = f"{local:%a %Y-%m-%d %H:%M:%S %z}  {moment:%Y-%m-%d %H:%M:%S} UTC"
            click.echo(f"{times}  <- {mark}" if mark else times)
    if not job.enabled:
        click.echo("it is paused, and fires at none of them; to switch it on: reproq schedules resume", err=True)
