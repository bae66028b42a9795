"""`reproq runs list|show`."""

import dataclasses
import json
from typing import Any

import click

from reproq.cli.project import configure, database_options, seconds_of
from reproq.cli.show import as_json_text, console, visible, when
from reproq.errors import RunNotFound
from reproq.lifecycle import Kind, Status
from reproq.store.db import opened
from reproq.store.insight import RunDetail, RunFilter, RunLine, list_runs, show_run
from reproq.store.runs import MAX_RUN_ID, result_id


@click.group()
def runs() -> None:
    """Look at runs."""


@runs.command("list")
@database_options
@click.option("--status", type=click.Choice([status.value for status in Status], case_sensitive=False))
@click.option("--queue", "queue_name", help="Only this queue.")
@click.option("--task", "task_path", help="Only this task path.")
@click.option("--spec-hash", help="Only specs whose hash is, or begins with, this.")
@click.option("--error", "error_kind", type=click.Choice([kind.value for kind in Kind]), help="Only this newest error.")
@click.option("--since", metavar="DURATION", help="Only runs enqueued within this time, such as 15m or 2h.")
@click.option(
    "--before", "before_id", type=int, default=MAX_RUN_ID, show_default=False, help="Only ids below this one."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object a line.")
def list_command(
    settings: str | None, as_json: bool, limit: int, before_id: int, since: str | None, **options: Any
) -> None:
    """The newest runs, newest first."""
    flags = {name: options.pop(name) for name in ("dsn", "backend")}
    only = RunFilter(**options, since_seconds=None if since is None else seconds_of("--since", since))
    config, _ = configure(flags, settings)
    with opened(config.dsn, "reproq runs") as database, database.transaction() as cursor:
        found = list_runs(cursor, only, limit=limit, before_id=before_id)
    if as_json:
        for run in found:
            click.echo(as_json_text(dataclasses.asdict(run)))
        return
    _print_table(found)


def _print_table(found: list[RunLine]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("id", "status", "task", "queue", "attempts", "enqueued", "finished", "error"):
        table.add_column(name, no_wrap=name != "error")
    for run in found:
        error = f"{run.error_kind}: {run.error_message}" if run.error_kind and run.status != Status.SUCCESSFUL else ""
        cells = (
            str(run.id),
            run.status,
            run.task_path,
            run.queue_name,
            f"{run.attempts}/{run.max_attempts}",
            when(run.enqueued_at),
            when(run.finished_at),
            error[:120],
        )
        table.add_row(*(Text(visible(cell)) for cell in cells))
    console().print(table if found else "no runs")


def parse_run_id(text: str) -> int:
    """A run's id, alone or as Django's result id `<id>-<nonce>`. Raises RunNotFound for anything else."""
    number = text.partition("-")[0]
    if not number.isascii() or not number.isdigit():
        raise RunNotFound(f"{text!r} is no run id; it is a number such as 42, or a result id such as 42-00ff…")
    return int(number)


@runs.command("show")
@database_options
@click.argument("run_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def show_command(settings: str | None, run_id: str, as_json: bool, **flags: Any) -> None:
    """Everything about one run. Exits with 4 when there is none."""
    config, _ = configure(flags, settings)
    number = parse_run_id(run_id)
    with opened(config.dsn, "reproq runs") as database, database.transaction() as cursor:
        run = show_run(cursor, number)
    facts = _facts(run)
    if as_json:
        click.echo(as_json_text(facts))
        return
    _print_facts(facts)


def _facts(run: RunDetail) -> dict[str, Any]:
    facts = dataclasses.asdict(run)
    facts["result_id"] = result_id(run.id, facts.pop("nonce"))
    for name in ("args", "kwargs", "errors", "return"):
        text = facts.pop(f"{name}_json")
        facts["return_value" if name == "return" else name] = None if text is None else json.loads(text)
    return facts


def _print_facts(facts: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in facts.items():
        if value is not None and name != "errors":
            table.add_row(name, Text(when(value) if hasattr(value, "isoformat") else visible(_text(value))))
    for error in facts["errors"]:
        summary = f"{error['kind']} {error['exception_class']}: {error['message']}"
        table.add_row(f"error {error['attempt']}", Text(visible(summary)))
        if error["traceback"]:
            table.add_row("", Text(visible(error["traceback"].rstrip())))
    console().print(table)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
