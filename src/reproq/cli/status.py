"""`reproq status`: what waits, what runs, what ended in the last hour, and who works."""

import dataclasses
from typing import Any, Final

import click

from reproq.cli.project import configure, database_options
from reproq.cli.show import as_json_text, console
from reproq.store.db import opened
from reproq.store.insight import count_finished, count_unfinished, list_workers

WINDOW_SECONDS: Final = 3600.0


@click.command()
@database_options
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(settings: str | None, as_json: bool, **flags: Any) -> None:
    """Show the queue and its workers."""
    config, _ = configure(flags, settings)
    with opened(config.dsn, "reproq status") as database, database.transaction() as cursor:
        unfinished = count_unfinished(cursor)
        finished = count_finished(cursor, WINDOW_SECONDS)
        workers = list_workers(cursor)
    if as_json:
        facts = {"unfinished": unfinished, "finished_last_hour": finished}
        click.echo(as_json_text(facts | {"workers": [dataclasses.asdict(worker) for worker in workers]}))
        return
    out = console()
    out.print("now        " + "  ".join(f"{name} {count}" for name, count in unfinished.items()))
    out.print("last hour  " + ("  ".join(f"{name} {count}" for name, count in finished.items()) or "nothing finished"))
    for worker in workers:
        state = "draining" if worker.draining else "working"
        if worker.unseen_seconds > config.lease:
            state = "not seen, its runs are being rescued"
        out.print(
            f"worker     {worker.worker_id}  {worker.executor} x {worker.concurrency}  "
            f"queues {','.join(worker.queues)}  {state}, seen {worker.unseen_seconds:.0f} s ago"
        )
    if not workers:
        out.print("worker     none; start one with: reproq worker")
