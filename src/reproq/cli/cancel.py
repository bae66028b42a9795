"""`reproq cancel`: a run that has not started never will; one that runs is stopped by its worker."""

import time
from typing import Any

import click

from reproq.cli import FAILED
from reproq.cli.project import configure, database_options, seconds_of
from reproq.cli.runs import find_run, parse_run_id
from reproq.cli.show import as_json_text, json_option, when
from reproq.cli.waiting import await_ends
from reproq.lifecycle import Status
from reproq.store import interventions
from reproq.store.db import opened
from reproq.store.insight import RunDetail
from reproq.store.locked import bounded


@click.command()
@database_options
@click.argument("run_id", metavar="ID")
@click.option(
    "--wait",
    default="10s",
    show_default=True,
    help="How long to wait until its worker has stopped it, or for a row that is locked.",
)
@json_option()
def cancel(settings: str | None, run_id: str, wait: str, as_json: bool, **flags: Any) -> int:
    """Cancel a run; say how it really ended.

    Exits with 1 when it ended otherwise or has not ended yet, and with 4 when there is no such run.
    """
    deadline = time.monotonic() + (patience_seconds := seconds_of("--wait", wait))
    number, _ = parse_run_id(run_id)
    config, _ = configure(flags, settings)
    with opened(config.dsn, "reproq cancel") as database:
        with database.transaction() as cursor, bounded(cursor, [number], patience_seconds, database.twin()):
            before = find_run(cursor, run_id)
            asked = interventions.cancel(cursor, [before.id])
        waits = asked.get(before.id) is Status.RUNNING
        (after,) = await_ends(database, [before.id], deadline - time.monotonic() if waits else 0.0)
    facts = {"id": after.id, "status": after.status, "asked": bool(asked)}
    click.echo(as_json_text(facts) if as_json else _sentence(after, asked=bool(asked)))
    return 0 if after.status == Status.CANCELLED and asked else FAILED


def _sentence(run: RunDetail, *, asked: bool) -> str:
    if not asked:
        return f"run {run.id} had ended as {run.status} at {when(run.finished_at)}; there is nothing to cancel"
    if run.status == Status.CANCELLED:
        return f"run {run.id} is cancelled"
    if Status(run.status).is_finished:
        return f"run {run.id} ended as {run.status} before it could be stopped"
    return (
        f"run {run.id} is to be cancelled, but its worker {run.worker_id} has not stopped it yet; if that worker is "
        f"dead, the run is cancelled when its lease has ended, at {when(run.lease_expires_at)}"
    )
