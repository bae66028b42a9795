"""`reproq runs list|show`."""

import dataclasses
import json
from typing import Any

import click

from reproq.cli.project import configure, database_options, seconds_of
from reproq.cli.run_table import print_table
from reproq.cli.show import as_json_text, console, json_option, visible, when
from reproq.errors import RunNotFound
from reproq.lifecycle import Kind, Status
from reproq.store.db import opened
from reproq.store.holders import Holder, visible_holders
from reproq.store.insight import WINDOW, RunDetail, RunFilter, list_runs, show_run
from reproq.store.locked import looking
from reproq.store.results import parse_result_id
from reproq.store.runs import MAX_RUN_ID, result_id
from reproq.store.statements import Cursor


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
@json_option("For machines: one JSON object a line.")
def list_command(
    settings: str | None, as_json: bool, limit: int, before_id: int, since: str | None, **options: Any
) -> None:
    """The newest runs, newest first. Filters look at the newest 10,000 runs (further back with --before), and beyond
    them at the first 10,000 that run, are scheduled, are ready, or ended last."""
    flags = {name: options.pop(name) for name in ("dsn", "backend")}
    only = RunFilter(**options, since_seconds=None if since is None else seconds_of("--since", since))
    config, _ = configure(flags, settings)
    with opened(config.dsn, "reproq runs") as database, looking(database) as cursor:
        found = list_runs(cursor, only, limit=limit, before_id=before_id)
    if as_json:
        for run in found.runs:
            facts = dataclasses.asdict(run)
            click.echo(as_json_text(facts | {"result_id": result_id(run.id, facts.pop("nonce"))}))
    else:
        print_table(found.runs)
    if found.looked_from is not None:
        note = f"looked at the newest {WINDOW:,} runs, and through the indexes; for older ones: --before"
        click.echo(f"{note} {found.looked_from}", err=True)


def parse_run_id(text: str) -> tuple[int, int | None]:
    """A run's id, and its nonce where the text is a result id `<id>-<nonce>`. Raises RunNotFound for anything else."""
    if (result := parse_result_id(text)) is not None:
        return result
    if not text.isascii() or not text.isdigit():
        raise RunNotFound(f"{text!r} is no run id; it is a number such as 42, or a result id such as 42-00ff…")
    return int(text), None


def find_run(cursor: Cursor, text: str) -> RunDetail:
    """The run that an id or a result id names. Raises RunNotFound, also when the nonce is another run's."""
    number, nonce = parse_run_id(text)
    run = show_run(cursor, number)
    if nonce is not None and nonce != run.nonce:
        raise RunNotFound(f"there is no run {text}; the run {number} of this database is another one")
    return run


@runs.command("show")
@database_options
@click.argument("run_id", metavar="ID")
@json_option()
def show_command(settings: str | None, run_id: str, as_json: bool, **flags: Any) -> None:
    """Everything about one run. Exits with 4 when there is none."""
    config, _ = configure(flags, settings)
    with opened(config.dsn, "reproq runs") as database:
        with looking(database) as cursor:
            run = find_run(cursor, run_id)
        held = {} if Status(run.status).is_finished else visible_holders(database, [run.id])
    facts = _facts(run, held.get(run.id))
    if as_json:
        click.echo(as_json_text(facts))
        return
    _print_facts(facts)


def _facts(run: RunDetail, held_by: Holder | None) -> dict[str, Any]:
    facts = dataclasses.asdict(run)
    facts["held_up_by"] = None if held_by is None else str(held_by)
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
        summary = f"{error['kind']} {error['exception_class']}" + (f": {error['message']}" if error["message"] else "")
        table.add_row(f"attempt {error['attempt']}", Text(visible(summary)))
        if error["traceback"]:
            table.add_row("", Text(visible(error["traceback"].rstrip())))
    console().print(table)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
