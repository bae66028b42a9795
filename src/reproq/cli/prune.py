"""`reproq prune`: delete finished runs now, by the retention of the configuration or by an age given here."""

import time
from collections.abc import Iterator
from typing import Any, Final

import click

from reproq.cli.project import Project, configure, database_options, flag
from reproq.cli.show import as_json_text, console, json_option, when
from reproq.config import Config
from reproq.errors import ConfigurationError
from reproq.lifecycle import Status
from reproq.queue_names import queue_name_fault
from reproq.retention import (
    FINISHED,
    KEEP_ALL,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Retention,
    Rule,
    narrowed,
    rules,
    shown,
    unit_fault,
)
from reproq.store.db import Database, opened
from reproq.store.retention import START, Position, Prunable, PruneAnswer, preview, prune, queue_has_run
from reproq.values import duration

LARGEST_BATCH: Final = 10_000
TURN_SECONDS: Final = 0.05
"""How long to wait for a step of somebody else."""


@click.command("prune")
@database_options
@flag("retention")
@click.option("--older-than", metavar="AGE", help="Delete what ended longer ago, such as 30d, whatever the retention.")
@click.option(
    "--status", "statuses", multiple=True, metavar="STATUS", help="Only these: SUCCESSFUL, FAILED, CANCELLED."
)
@click.option("--queue", "queues", multiple=True, metavar="NAME", help="Only runs of these queues.")
@click.option(
    "--batch",
    type=click.IntRange(1, LARGEST_BATCH),
    default=1000,
    show_default=True,
    help="Runs that one transaction looks at.",
)
@click.option("--dry-run", is_flag=True, help="Delete nothing: say what would be.")
@json_option()
def prune_command(
    settings: str | None,
    older_than: str | None,
    statuses: tuple[str, ...],
    queues: tuple[str, ...],
    batch: int,
    dry_run: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Delete finished runs whose age is up, with their logs. Workers do this by themselves (the setting retention)."""
    chosen = tuple(_status(name) for name in statuses)
    age_seconds = None if older_than is None else _age(older_than)
    config, project = configure(flags, settings)
    policy = _policy(config, age_seconds, chosen, queues)
    with opened(config.dsn, "reproq prune") as database:
        _check_queues(database, project, queues)
        if dry_run:
            _show_preview(list(_previews(database, config.backend, rules(policy))), as_json)
            return
        deleted = sum(_walk(database, config.backend, rule, batch) for rule in rules(policy))
    click.echo(as_json_text({"deleted": deleted}) if as_json else f"{deleted:,} runs deleted")


def _status(name: str) -> Status:
    try:
        status = Status(name.upper())
    except ValueError:
        status = None
    if status not in FINISHED:
        raise click.UsageError(
            f"--status = {name!r} is no status of finished runs, and no others are deleted; "
            f"give one of {', '.join(FINISHED)}"
        )
    return status


def _age(text: str) -> float:
    try:
        seconds = duration(text.strip().removeprefix("-"))
    except ValueError:
        raise click.UsageError(f"--older-than = {text!r} is no age such as 12h or 30d; write a year as 365d") from None
    if text.strip().startswith("-") or not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise click.UsageError(f"--older-than = {text!r} is outside 1s to 36500d; give an age such as 30d")
    if fault := unit_fault(text):
        raise click.UsageError(f"--older-than = {text!r} {fault}")
    return seconds


def _policy(
    config: Config, age_seconds: float | None, statuses: tuple[Status, ...], queues: tuple[str, ...]
) -> Retention:
    """What is to be done: the configured retention, or one age for all, as far as these statuses and queues go."""
    if age_seconds is not None:
        return narrowed(Retention((age_seconds,) * 3), statuses, queues)
    if config.retention == KEEP_ALL:
        raise ConfigurationError("retention = off keeps every run; to delete some all the same, say --older-than 30d")
    return narrowed(config.retention, statuses, queues)


def _check_queues(database: Database, project: Project, queues: tuple[str, ...]) -> None:
    """A queue that no task can be in and no run is in is a slip of the hand."""
    for name in queues:
        if fault := queue_name_fault(name):
            raise click.UsageError(f"--queue = {name!r} {fault}")
        if name in project.queues:
            continue
        with database.transaction() as cursor:
            known = queue_has_run(cursor, name)
        if not known:
            names = f"; QUEUES has {', '.join(project.queues)}" if project.queues else ""
            raise click.UsageError(f"--queue = {name!r} is no queue that any run is in{names}; correct the name")


def _walk(database: Database, backend: str, rule: Rule, batch: int) -> int:
    """One rule's walk to its end, a transaction for each step; a worker that prunes just then has its turn between."""
    deleted, position = 0, START
    while True:
        answer = _step(database, backend, rule, position, batch)
        deleted, position = deleted + answer.deleted, answer.position
        if not answer.is_ours:
            time.sleep(TURN_SECONDS)
        elif answer.looked < batch:
            return deleted


def _step(database: Database, backend: str, rule: Rule, position: Position, batch: int) -> PruneAnswer:
    with database.transaction() as cursor:
        return prune(cursor, backend, rule, position, batch)


def _previews(database: Database, backend: str, found: tuple[Rule, ...]) -> Iterator[tuple[Rule, Prunable]]:
    for rule in found:
        with database.transaction() as cursor:
            yield from ((rule, one) for one in preview(cursor, backend, rule))


def _show_preview(found: list[tuple[Rule, Prunable]], as_json: bool) -> None:
    total = sum(one.count for _, one in found)
    if as_json:
        parts = [
            {"status": one.status, "queue": one.queue_name, "older_than_seconds": rule.age_seconds, "runs": one.count}
            | {"first_ended_at": one.first_ended_at, "last_ended_at": one.last_ended_at}
            for rule, one in found
        ]
        click.echo(as_json_text({"would_delete": total, "parts": parts}))
        return
    out = console()
    for rule, one in found:
        out.print(
            f"{one.count:>10,}  {one.status:10}  queue {one.queue_name}  older than {shown(rule.age_seconds)}: "
            f"ended {when(one.first_ended_at)} to {when(one.last_ended_at)}",
            soft_wrap=True,
        )
    out.print(f"{total:>10,}  would be deleted; nothing was")
