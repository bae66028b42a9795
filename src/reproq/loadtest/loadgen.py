"""`reproq loadgen`: enqueue many made-up runs, in batches of one statement and one transaction each."""

import math
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import click
from click.core import ParameterSource

from reproq.cli import FAILED
from reproq.cli.project import Project, configure, database_options
from reproq.cli.queues import outside, told
from reproq.cli.show import console
from reproq.config import Config
from reproq.executors.command import argv_for
from reproq.loadtest.made_up import LATEST_SECONDS, Shape, arguments, made_up
from reproq.queue_names import queue_name_fault
from reproq.service import STOP_SIGNALS, noted
from reproq.store.db import Database, opened
from reproq.store.runs import NewRun, enqueue_many
from reproq.store.workers import installation

NO_OP: Final = "reproq_django.noop.do_nothing"
BATCH: Final = 1000
BATCH_CHARS: Final = 8 * 1024 * 1024
"""After so much text in the arguments of a batch it gets no further run: large ones would fill the memory."""
TICK_SECONDS: Final = 0.05
MAX_TASKS: Final = 100_000_000
MAX_TEXT: Final = 1_000_000
MAX_SEED: Final = (1 << 63) - 1
LEAST_PRIORITY, GREATEST_PRIORITY = -100, 100
_TASK_PATH: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


class _Between(click.FloatRange):
    """A range that "nan" is not in, which compares as neither below nor above it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


def _queues(context: click.Context, option: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in value.split(","))
    for name in names:
        if fault := queue_name_fault(name):
            raise click.BadParameter(f"the queue name {name!r} {fault}")
    return names


def _priorities(context: click.Context, option: click.Parameter, value: str) -> tuple[int, ...]:
    parts = [part.strip() for part in value.split(",")]
    for part in parts:
        if not re.fullmatch(r"[+-]?\d{1,9}", part) or not LEAST_PRIORITY <= int(part) <= GREATEST_PRIORITY:
            bounds = f"{LEAST_PRIORITY} to {GREATEST_PRIORITY}"
            raise click.BadParameter(f"the priority {part!r} is no whole number from {bounds}, as in -10,0,10")
    return tuple(map(int, parts))


def _task_path(context: click.Context, option: click.Parameter, value: str) -> str:
    if not _TASK_PATH.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no task path such as shop.tasks.greet")
    return value


@click.command()
@database_options
@click.option(
    "--tasks", default=1000, show_default=True, type=click.IntRange(0, MAX_TASKS), help="How many runs to enqueue."
)
@click.option(
    "--queues",
    default="default,high,low",
    show_default=True,
    callback=_queues,
    help="Queues to draw from. Of the default, those that QUEUES allows, and if it allows none, all that it names.",
)
@click.option(
    "--priority-dist",
    "priorities",
    default="-10,0,10",
    show_default=True,
    callback=_priorities,
    help="Priorities to draw from; one that is given twice is drawn twice as often.",
)
@click.option(
    "--run-after-percent",
    "later_percent",
    default=10.0,
    show_default=True,
    type=_Between(0, 100),
    help=f"How many of a hundred are scheduled, for some time in the next {LATEST_SECONDS:g} s.",
)
@click.option(
    "--payload-size",
    default=100,
    show_default=True,
    type=click.IntRange(0, MAX_TEXT),
    help="Characters of text in the arguments of each.",
)
@click.option(
    "--seed", type=click.IntRange(0, MAX_SEED), help="The same seed gives the same specs; drawn when left out."
)
@click.option(
    "--rate",
    type=_Between(0, 1_000_000, min_open=True),
    help="Runs a second; as many as possible when left out.",
)
@click.option(
    "--task",
    "task_path",
    default=NO_OP,
    show_default=True,
    callback=_task_path,
    help="What they run; it gets the seed, a number and a text, and is refused where it does not take them.",
)
def loadgen(
    settings: str | None,
    backend: str | None,
    dsn: str | None,
    tasks: int,
    queues: tuple[str, ...],
    seed: int | None,
    rate: float | None,
    **shaped: Any,
) -> int:
    """Enqueue made-up runs, no two of the same spec. Ctrl-C ends it between two batches: nothing is half-written."""
    config, project = configure({"backend": backend, "dsn": dsn}, settings)
    is_default = click.get_current_context().get_parameter_source("queues") is ParameterSource.DEFAULT
    queues = allowed(queues, project.queues, config.backend, is_default=is_default)
    seed = secrets.randbits(32) if seed is None else seed
    refuse_what_no_worker_runs(project, config, shaped["task_path"], queues)
    shape = Shape(seed=seed, queues=queues, backend=config.backend, max_attempts=config.max_attempts, **shaped)
    began = time.monotonic()
    with opened(config.dsn, "reproq loadgen") as database:
        with database.transaction() as cursor:
            installation(cursor)  # or the first batch would be made up before it is refused
        written = _write_with_a_bar(database, made_up(shape), tasks, rate)
    seconds = time.monotonic() - began
    total = written.total()
    pace = f"{seconds:.1f} s ({total / seconds:,.0f} a second)"
    places = ", ".join(f"{name} {count:,}" for name, count in sorted(written.items())) or "none"
    click.echo(f"{total:,} runs are written in {pace}, seed {seed}: {places}")
    if total < tasks:
        click.echo(f"stopped by a signal: {total:,} of {tasks:,} are written, in whole batches", err=True)
        return FAILED
    return 0


def refuse_what_no_worker_runs(project: Project, config: Config, task_path: str, queues: tuple[str, ...]) -> None:
    """Raise click.UsageError, before a row is written, for a task that is not there or does not take what it would be
    given. A program of another language (`commands`) is asked for nothing, and so is a database without a project."""
    is_ours = task_path != NO_OP and any(argv_for(config.commands, task_path, name) is None for name in queues)
    if is_ours and (fault := project.task_fault(task_path, arguments(0, 0, ""), "--task")):
        raise click.UsageError(
            f"{fault}. No run is written; give --task the path of a task that takes a seed, a number and a text: "
            "(int, int, str)"
        )


def allowed(names: tuple[str, ...], queues: tuple[str, ...], backend: str, *, is_default: bool) -> tuple[str, ...]:
    """The queues to draw from: where enqueue() would refuse one, no run is written. Raises click.UsageError, naming
    those that were asked for; of the default the others are left, and that is said."""
    if not (refused := outside(names, queues)):
        return names
    if not is_default:
        faults = "; ".join(told(name, queues) for name in refused)
        raise click.UsageError(f"--queues names {faults}; correct it, or add it to QUEUES of TASKS[{backend!r}]")
    left = tuple(name for name in names if name not in refused) or queues
    click.echo(
        f"QUEUES of TASKS[{backend!r}] has {', '.join(queues)}: runs are drawn from {', '.join(left)}, none from "
        f"{', '.join(refused)}; choose by --queues, or add them to QUEUES",
        err=True,
    )
    return left


def _write_with_a_bar(database: Database, runs: Iterator[NewRun], total: int, rate: float | None) -> Counter[str]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console()) as progress, noted(*STOP_SIGNALS, bears=1) as stops:
        bar = progress.add_task("runs", total=total)
        return write(database, runs, total, rate, lambda: bool(stops), lambda count: progress.advance(bar, count))


def write(
    database: Database,
    runs: Iterator[NewRun],
    total: int,
    rate: float | None,
    is_stopped: Callable[[], bool],
    advance: Callable[[int], None],
) -> Counter[str]:
    """Enqueue `total` of these runs, `rate` a second, until it is stopped: how many were written, by queue."""
    written: Counter[str] = Counter()
    began = time.monotonic()
    left = total
    while left and not is_stopped():
        due = left if rate is None else int((time.monotonic() - began) * rate) + 1 - (total - left)
        if due <= 0:
            time.sleep(TICK_SECONDS)
            continue
        batch = _batch(runs, min(due, left, BATCH))
        with database.transaction() as cursor:
            enqueue_many(cursor, batch)
        left -= len(batch)
        written.update(run.terms.queue_name for run in batch)
        advance(len(batch))
    return written


def _batch(runs: Iterator[NewRun], most: int) -> list[NewRun]:
    batch: list[NewRun] = []
    held = 0
    for run in islice(runs, most):
        batch.append(run)
        held += len(run.spec.args_json)
        if held >= BATCH_CHARS:
            break
    return batch
