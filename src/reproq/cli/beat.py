"""`reproq beat`: fires schedules until it is told to stop, or once."""

import dataclasses
from typing import Any

import click

from reproq.cli import FAILED
from reproq.cli.one_database import refuse_two_databases
from reproq.cli.patience import WORKER, refuse_two_once_reached
from reproq.cli.project import configure, database_options, flag
from reproq.cli.show import visible, when
from reproq.cli.worker import database_of, longest_pause_seconds, worker_row
from reproq.config import Config
from reproq.scheduler.beat import Beat, fire_once
from reproq.service import serve
from reproq.store.db import opened
from reproq.store.thread import StoreThread
from reproq.store.workers import WorkerRow, installation
from reproq.telemetry.events import Telemetry
from reproq.telemetry.lines import log_to_stderr, unheard


@click.command()
@database_options
@flag("worker_id")
@flag("lease")
@flag("heartbeat")
@flag("beat_interval", "--interval")
@click.option("--once", is_flag=True, help="Fire what is due now, say so, and end: for a timer that calls this.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def beat(settings: str | None, once: bool, verbose: bool, **flags: Any) -> int:
    """Fire schedules until TERM or INT. Workers do the same unless they are told --no-beat, and any number may."""
    config, _ = configure(flags, settings, refuse_two_databases if once else refuse_two_once_reached)
    telemetry = Telemetry((log_to_stderr(verbose),), (), unheard())
    if once:
        return _once(config, telemetry)
    row = beat_row(config)
    store = StoreThread(database_of(config, row.worker_id), longest_pause_seconds(config))
    return serve(Beat(config, row, store, telemetry), is_all=True)


def beat_row(config: Config) -> WorkerRow:
    """What a beat tells about itself: it serves no queue and runs nothing."""
    row = worker_row(config)
    name = row.worker_id if config.worker_id else row.worker_id.replace("worker-", "beat-", 1)
    return dataclasses.replace(row, worker_id=name, queues=(), executor="", concurrency=0, role="beat", beats=True)


def _once(config: Config, telemetry: Telemetry) -> int:
    with opened(config.dsn, "reproq beat", part=WORKER) as database:
        with database.transaction() as cursor:
            installation(cursor)
        decided, trouble = fire_once(database, telemetry)
    for fired in decided:
        ran = "" if fired.run_id is None else f", run {fired.run_id}"
        click.echo(f"{fired.outcome:10} {visible(fired.name)}, due at {when(fired.due_at)}{ran}")
    if not decided and not trouble:
        click.echo("nothing was due")
    if trouble:
        click.echo(f"Error: {trouble}", err=True)
    return FAILED if trouble else 0
