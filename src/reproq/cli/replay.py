"""`reproq replay`: run a spec again, and compare what came out."""

from typing import Any

import click

from reproq import replay as replays
from reproq.cli import FOUND_SOMETHING
from reproq.cli.project import configure, database_options, seconds_of
from reproq.cli.runs import find_run
from reproq.cli.show import as_json_text, console, json_option
from reproq.cli.waiting import await_ends
from reproq.errors import ReproqError
from reproq.lifecycle import Status
from reproq.store.db import Database, opened
from reproq.store.insight import RunDetail
from reproq.store.statements import Cursor


@click.command()
@database_options
@click.argument("run_id", metavar="ID", required=False)
@click.option("--spec-hash", metavar="H", help="Replay the newest finished run of this spec.")
@click.option("--compare", is_flag=True, help="Wait for the replay and compare its end; exit 3 when it differs.")
@click.option("--wait", default="60s", show_default=True, help="With --compare: how long to wait for the replay's end.")
@json_option()
def replay(
    settings: str | None,
    run_id: str | None,
    spec_hash: str | None,
    compare: bool,
    wait: str,
    as_json: bool,
    **flags: Any,
) -> int:
    """Enqueue a run again, by its ID or by its spec hash."""
    if (run_id is None) == (spec_hash is None):
        raise click.UsageError("give either a run's ID or --spec-hash")
    patience_seconds = seconds_of("--wait", wait)
    config, _ = configure(flags, settings)
    with opened(config.dsn, "reproq replay") as database:
        if compare and run_id:
            _refuse_without_an_end(database, run_id, patience_seconds)
        with database.transaction() as cursor:
            old, new = enqueue_again(cursor, run_id, spec_hash)
        facts: dict[str, Any] = {"replayed": old, "id": new}
        if compare:
            click.echo(f"waiting for run {new}", err=True)
            comparison = replays.compare(*_both(database, old, new, patience_seconds))
            facts |= {"sameness": comparison.sameness, "before": comparison.before, "after": comparison.after}
    _print(facts, as_json)
    return FOUND_SOMETHING if facts.get("sameness") == replays.Sameness.DIFFERS else 0


def enqueue_again(cursor: Cursor, run_id: str | None, spec_hash: str | None) -> tuple[int, int]:
    """Replay what an id, a result id or a spec hash names: `(old id, new id)`. Raises RunNotFound."""
    number = find_run(cursor, run_id).id if run_id else None
    return replays.replay(cursor, run_id=number, spec_hash=spec_hash)


def _refuse_without_an_end(database: Database, run_id: str, patience_seconds: float) -> None:
    """Raise ReproqError, before anything is enqueued, for a run whose end does not come: it compares with nothing."""
    with database.transaction() as cursor:
        run = find_run(cursor, run_id)
    if not Status(run.status).is_finished:
        click.echo(f"waiting for run {run.id}, which is {run.status}", err=True)
        (run,) = await_ends(database, (run.id,), patience_seconds)
    if not Status(run.status).is_finished:
        raise ReproqError(
            f"run {run.id} is still {run.status} after {patience_seconds:g} s, so a replay could be compared with "
            "nothing, and none is enqueued. Say it again when the run has ended, or with a longer --wait; look at it "
            f"with: reproq runs show {run.id}"
        )


def _both(database: Database, old: int, new: int, patience_seconds: float) -> list[RunDetail]:
    both = await_ends(database, (old, new), patience_seconds)
    late = next((run for run in both if not Status(run.status).is_finished), None)
    if late is not None:
        raise ReproqError(
            f"run {late.id} is still {late.status} after {patience_seconds:g} s; the replay stays enqueued as run "
            f"{new}. Does a worker serve the queue {late.queue_name}? Look at it with: reproq runs show {late.id}"
        )
    return both


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(as_json_text(facts))
        return
    out = console()
    out.print(f"run {facts['replayed']} is enqueued again as run {facts['id']}")
    for name in ("sameness", "before", "after"):
        if name in facts:
            out.print(f"{name:9} {facts[name]}")
