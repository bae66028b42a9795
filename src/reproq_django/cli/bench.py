"""`reproq bench`: measures what Reproq costs on the project's database, or on another one.

Here are its options, what it asks before it begins, and Django's way to enqueue; `reproq.loadtest.bench` measures.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from reproq.cli import FAILED, FOUND_SOMETHING
from reproq.cli.project import configure, database_options
from reproq.cli.show import console
from reproq.config import Config
from reproq.errors import ConfigurationError
from reproq.loadtest.bench import claims, drain, latency
from reproq.loadtest.bench.measures import Bench, Measure, Sizes, take
from reproq.loadtest.bench.place import MOST_COUNTED, NotClean, Place, Stopped
from reproq.loadtest.bench.show import show
from reproq.loadtest.verify import invariants
from reproq.service import STOP_SIGNALS, noted
from reproq.store.db import address, opened
from reproq.store.results import parse_result_id
from reproq_django.imported import set_up

if TYPE_CHECKING:
    from django.tasks import Task

ALL: Final = "all"
TEXT: Final = "x" * 100
USUAL_RUNS: Final = ", ".join(f"{runs:,} of {executor}" for executor, runs in drain.RUNS.items())
TAKEN_BY: Final = {
    "executors": (Measure.DRAIN, Measure.LATENCY),
    "runs": (Measure.CEILING, Measure.DRAIN, Measure.ENQUEUE),
    "workers": (Measure.DRAIN,),
    "payloads": (Measure.DRAIN,),
    "samples": (Measure.LATENCY,),
    "rows": (Measure.BACKLOG, Measure.HISTORY),
}
"""The sizes, by their parameters, and what is measured by them."""
FLAGS: Final = {"executors": "executor", "payloads": "payload"}
USUAL_ROWS: Final = ", ".join(f"{rows:,} of {measure}" for measure, rows in claims.ROWS.items())


@click.command()
@database_options
@click.argument("measures", nargs=-1, required=True, type=click.Choice([*(one.value for one in Measure), ALL]))
@click.option("--times", default=3, show_default=True, type=click.IntRange(1, 100), help="Takings; medians are shown.")
@click.option(
    "--executor",
    "executors",
    multiple=True,
    type=click.Choice(list(drain.RUNS)),
    help="Of drain and latency; may be given more than once.  [default: all of them]",
)
@click.option(
    "--runs",
    type=click.IntRange(10, 10_000_000),
    help=f"Runs of a drain, a ceiling or a bulk enqueue.  [default: {USUAL_RUNS}]",
)
@click.option(
    "--workers",
    multiple=True,
    type=click.IntRange(1, 64),
    help="Workers that drain at once; may be given more than once.  [default: 1, and 4 of mock]",
)
@click.option(
    "--payload",
    "payloads",
    multiple=True,
    type=click.IntRange(0, 1_000_000),
    help="Characters in the arguments of a drained run; may be given more than once.  [default: 100, and more of pool]",
)
@click.option(
    "--samples",
    default=latency.SAMPLES,
    show_default=True,
    type=click.IntRange(10, 100_000),
    help="Runs of one taking of a latency.",
)
@click.option(
    "--rows",
    type=click.IntRange(10_000, 100_000_000),
    help=f"Rows of the large table of backlog and history.  [default: {USUAL_ROWS}]",
)
@click.option("--skip", multiple=True, metavar="NAME", help="An invariant that is not asked after a drain.")
@click.option("--json", "json_file", metavar="FILE", help="Keep everything in this file, with machine and versions.")
@click.option("--yes", is_flag=True, help="Do not ask before working in a database that holds runs.")
def bench(
    settings: str | None,
    backend: str | None,
    dsn: str | None,
    measures: tuple[str, ...],
    times: int,
    skip: tuple[str, ...],
    json_file: str | None,
    yes: bool,
    **sizes: Any,
) -> int:
    """Measure what Reproq costs, each figure beside a reference.

    Name what to measure: ceiling, drain, enqueue, latency, backlog, history, or all. It deletes what it enqueues, and
    never touches other runs. Exits with 3 when `reproq verify` finds something after a drain.
    """
    check_names(skip)
    check_file(json_file)
    chosen = tuple(Measure) if ALL in measures else tuple(map(Measure, measures))
    check_sizes(chosen, Sizes(**sizes))
    config, _ = configure({"backend": backend, "dsn": dsn}, settings)
    with opened(config.dsn, "reproq bench") as database:
        place = Place(database=database, config=config, times=times, skipped=frozenset(skip), say=say)
        ask_first(place, place.check(), yes)
        producer = project_producer(config)
        with noted(*STOP_SIGNALS, bears=1) as stops:
            place.go_on = stopper(stops)
            try:
                taken = take(place, producer, chosen, Sizes(**sizes))
            except (Stopped, NotClean) as error:
                click.echo(f"Error: {error}", err=True)
                return FOUND_SOMETHING if isinstance(error, NotClean) else FAILED
    show(taken, console())
    if json_file:
        keep(taken, json_file)
    return 0


def say(text: str) -> None:
    """Tell the person who waits; standard output is for the tables."""
    click.echo(text, err=True)


def keep(taken: Bench, path: str) -> None:
    """Write everything as JSON. The file is whole or not there."""
    part = Path(f"{path}.part")
    part.write_text(json.dumps(taken.facts(), indent=2, ensure_ascii=False) + "\n", "utf-8")
    part.replace(path)


def stopper(stops: Sequence[int]) -> Callable[[], None]:
    """What a measure calls between two steps: it raises once a signal has come."""

    def go_on() -> None:
        if stops:
            raise Stopped("stopped by a signal: there are no figures, and nothing of the bench is left")

    return go_on


def check_names(skip: Sequence[str]) -> None:
    """Raise click.UsageError for what is no invariant."""
    known = [one.name for one in invariants()]
    if unknown := [name for name in skip if name not in known]:
        raise click.UsageError(f"--skip = {unknown[0]!r} is no invariant; there are: {', '.join(known)}")


def check_sizes(chosen: Sequence[Measure], sizes: Sizes) -> None:
    """Raise click.UsageError for a size that nothing takes of what is to be measured."""
    source = click.get_current_context().get_parameter_source
    for name, measures in TAKEN_BY.items():
        if source(name) is ParameterSource.COMMANDLINE and not set(measures) & set(chosen):
            raise click.UsageError(
                f"--{FLAGS.get(name, name)} is for {' and '.join(measures)}, and has no meaning for "
                f"{' and '.join(chosen)}; leave it out"
            )
    if Measure.LATENCY in chosen and not sizes.awaited:
        given, known = ", ".join(sizes.executors), " and ".join(latency.EXECUTORS)
        raise click.UsageError(f"latency is measured of {known}, not of --executor {given}; name one of those, too")


def check_file(path: str | None) -> None:
    """Raise click.UsageError where no file could be written: better now than after an hour."""
    if path and (Path(path).is_dir() or not os.access(Path(path).absolute().parent, os.W_OK | os.X_OK)):
        raise click.UsageError(f"--json = {path!r} cannot be written; name a file in a folder that can be")


def ask_first(place: Place, runs: int, yes: bool) -> None:
    """Raise where a database holds runs and nobody says that this is meant."""
    if not runs or yes:
        return
    count = f"more than {MOST_COUNTED:,}" if runs > MOST_COUNTED else f"{runs:,}"
    where = f"the database at {address(place.database.dsn)} holds {count} runs"
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{where}, and nobody can be asked here; say --yes, or give an empty one by --dsn")
    text = f"{where}. They are left alone, but a bench loads the server. Go on?"
    click.confirm(text, abort=True, err=True)


def project_producer(config: Config) -> "DjangoProducer":
    """Django's way to enqueue. Raises ConfigurationError where a project does not let our tasks be."""
    from django.core.exceptions import ImproperlyConfigured
    from django.tasks.exceptions import InvalidTask

    set_up()
    try:
        from reproq_django.first_line import first_line
        from reproq_django.noop import do_nothing

        return DjangoProducer(do_nothing.using(backend=config.backend), first_line.using(backend=config.backend))
    except (ImproperlyConfigured, InvalidTask) as error:
        raise ConfigurationError(
            f"the tasks of the bench cannot be enqueued in this project: {error}; give QUEUES of the backend "
            f"{config.backend!r} the queue 'default', or measure by: make bench"
        ) from error


class DjangoProducer:
    """Enqueues as the code of a project does; what `reproq.loadtest.bench.producer` asks for."""

    def __init__(self, do_nothing: "Task", first_line: "Task") -> None:
        self._do_nothing = do_nothing
        self._first_line = first_line

    @property
    def queue(self) -> str:
        return str(self._do_nothing.queue_name)

    def no_op(self, number: int) -> Any:
        return self._do_nothing.enqueue(number, number, TEXT)

    def no_ops(self, count: int) -> Sequence[Any]:
        return self._do_nothing.enqueue_many((number, number, TEXT) for number in range(count))

    def first_line(self, delay_seconds: float | None = None) -> Any:
        if delay_seconds is None:
            return self._first_line.enqueue()
        return self._first_line.using(run_after=timedelta(seconds=delay_seconds)).enqueue()

    def transaction(self) -> AbstractContextManager[Any]:
        from django.db import transaction

        return transaction.atomic(using=self._do_nothing.get_backend().settled.database)

    def ids(self, results: Sequence[Any]) -> list[int]:
        keys = (parse_result_id(result.id) for result in results)
        return [key[0] for key in keys if key is not None]
