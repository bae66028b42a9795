"""`reproq worker`: claims runs and executes them until it is told to stop."""

import gc
import os
import secrets
import shutil
import socket
import sys
import time
from typing import Any

import click

from reproq import __version__
from reproq.child.kernel import become_subreaper
from reproq.cli.listen_address import refuse_another_database
from reproq.cli.memory_bounds import warn_of_memory_bounds
from reproq.cli.one_database import refuse_two_databases
from reproq.cli.patience import WORKER, refuse_two_once_reached
from reproq.cli.project import Project, concurrency_of, configure, database_options, flag
from reproq.cli.replay import enqueue_again
from reproq.cli.report import check_report_file, show_report
from reproq.cli.short_lease import warn_of_a_short_lease
from reproq.config import KNOBS, Config
from reproq.errors import ConfigurationError
from reproq.executors import Executor
from reproq.executors.command import CommandExecutor, missing_programs
from reproq.executors.environment import template_environment
from reproq.executors.fork import ForkExecutor
from reproq.executors.launched import Limits
from reproq.executors.mock import MockExecutor
from reproq.executors.pool import PoolExecutor
from reproq.executors.spawn import SpawnExecutor
from reproq.margin import answer_seconds
from reproq.service import serve
from reproq.store.db import Database, opened
from reproq.store.lane import LONGEST_PAUSE_SECONDS
from reproq.store.listener import Deaf, Listener
from reproq.store.thread import StoreThread
from reproq.store.workers import WorkerRow
from reproq.telemetry.events import Handler, Meter, Telemetry
from reproq.telemetry.lines import log_to_stderr, unheard
from reproq.telemetry.report import ENDS, Report
from reproq.worker.loop import Worker

COLLECT_AFTER = 20_000
"""Objects; some megabytes."""
PRODUCER_KNOBS = ("max_attempts", "max_payload_bytes")
"""Knobs that only enqueueing reads."""


def worker_flags(command: Any) -> Any:
    """A flag for every knob of the worker."""
    for name in reversed(KNOBS):
        if name not in ("dsn", "backend", *PRODUCER_KNOBS):
            command = flag(name)(command)
    return command


@click.command()
@database_options
@worker_flags
@click.option("--any-queue", is_flag=True, help="Let --queues name what QUEUES does not: for runs from SQL.")
@click.option("--burst", is_flag=True, help="End when nothing is left to run now or within a minute.")
@click.option("--requeue-id", metavar="ID", help="Run nothing: enqueue a copy of this run, and end.")
@click.option(
    "--requeue-hash", metavar="H", help="Run nothing: enqueue a copy of the newest run of this spec, and end."
)
@click.option("--report", "wants_report", is_flag=True, help="Print figures at the end; under mock, they always are.")
@click.option("-v", "--verbose", is_flag=True, help="Log every claim, too.")
def worker(
    settings: str | None,
    any_queue: bool,
    burst: bool,
    requeue_id: str | None,
    requeue_hash: str | None,
    wants_report: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Run tasks until TERM or INT. The first signal drains, the second stops at once."""
    only_requeues = bool(requeue_id or requeue_hash)
    compare = refuse_two_databases if only_requeues else refuse_two_once_reached
    hears = None if only_requeues or burst else refuse_another_database
    config, project = configure(flags, settings, compare, serves=not (only_requeues or any_queue), hears=hears)
    if only_requeues:
        return requeue(config, requeue_id, requeue_hash)
    log = log_to_stderr(verbose)
    collect_seldom()
    if not (wants_report or config.report_json or config.executor == "mock"):
        worker = build_worker(config, project, burst=burst, handlers=(log,), dropped=unheard())
        return serve(worker, is_all=True)
    check_report_file(config.report_json)
    report = Report()
    handlers, meters = (log, report.on_event), (report.on_measure,)
    dropped = unheard() - ENDS.keys()
    worker = build_worker(config, project, burst=burst, handlers=handlers, meters=meters, dropped=dropped)
    code = serve(worker, is_all=True)
    show_report(report, config.report_json)
    return code


def collect_seldom() -> None:
    """What a worker makes for each run holds no cycles, and an eighth of its CPU went into looking for them. What is
    imported by now stays."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


def requeue(config: Config, run_id: str | None, spec_hash: str | None) -> int:
    """What `reproq replay` does, in the words of older workers."""
    if run_id and spec_hash:
        raise click.UsageError("give either --requeue-id or --requeue-hash")
    with opened(config.dsn, "reproq worker") as database, database.transaction() as cursor:
        old, new = enqueue_again(cursor, run_id, spec_hash)
    click.echo(f"run {old} is enqueued again as run {new}")
    return 0


def build_worker(
    config: Config,
    project: Project,
    *,
    burst: bool,
    handlers: tuple[Handler, ...],
    meters: tuple[Meter, ...] = (),
    dropped: frozenset[str] = frozenset(),
) -> Worker:
    """A worker with a store thread and an executor of its own, ready to be served. No handler wants to hear of the
    events in `dropped`."""
    row = worker_row(config)
    store = StoreThread(database_of(config, row.worker_id), longest_pause_seconds(config))
    is_reachable = config.pooler != "on" or config.listen_dsn  # NOTIFY reaches nobody through a pooler
    listens = config.listen != "off" and is_reachable and not burst
    # Its connection waits for hours, as it should; keepalives tell it when the other end is gone.
    ear = Listener(Database(config.listen_dsn or config.dsn, row.worker_id)) if listens else Deaf()
    executor = build_executor(config, project)
    telemetry = Telemetry(handlers, meters, dropped, gathers=True)
    warn_of_a_short_lease(config, telemetry)
    warn_of_memory_bounds(config, telemetry)
    return Worker(config, row, store, executor, telemetry, ear=ear, burst=burst)


def longest_pause_seconds(config: Config) -> float:
    """Between two tries to reach a lost database. Workers that are back rescue after a lease: by then, whoever pauses
    less than a heartbeat is back, too, and has renewed what it holds."""
    return min(LONGEST_PAUSE_SECONDS, config.heartbeat / 2)


def database_of(config: Config, name: str) -> Database:
    """The database of a process that works until it is stopped."""
    return Database(config.dsn, name, answer_seconds=answer_seconds(config), pooler=config.pooler, part=WORKER)


def worker_row(config: Config) -> WorkerRow:
    """What this worker tells about itself; an id is drawn when none is configured."""
    hostname = socket.gethostname()
    drawn = f"worker-{hostname[:32]}-{int(time.time())}-{secrets.token_hex(2)}"
    return WorkerRow(
        worker_id=config.worker_id or drawn,
        hostname=hostname,
        pid=os.getpid(),
        queues=config.queues,
        executor=config.executor,
        concurrency=concurrency_of(config),
        version=__version__,
        beats=config.beat,
    )


def build_executor(config: Config, project: Project) -> Executor:
    """The executor that the configuration names."""
    if config.executor == "mock":
        click.echo("WARNING: the executor mock runs nothing; every run it claims ends SUCCESSFUL with null", err=True)
        return MockExecutor(config.exec_sleep, concurrency_of(config))
    become_subreaper()  # before the first process is started: what a killed one leaves behind comes to us
    if config.executor == "command":
        return _command(config)
    if not project.setup:
        raise ConfigurationError(
            f"the executor {config.executor} needs a Django project: run this where manage.py is, or set "
            "DJANGO_SETTINGS_MODULE"
        )
    match config.executor:
        case "spawn":
            return _spawn(config, project)
        case "pool":
            return _pool(config, project)
        case _:
            return _fork(config, project)


def _fork(config: Config, project: Project) -> Executor:
    return ForkExecutor(
        project.setup,
        environment=template_environment(os.environ, config.pass_environment),
        path=project.path,
        timeout_seconds=config.timeout,
        kill_grace_seconds=config.kill_grace,
        output_bytes=config.output_bytes,
        max_return_bytes=config.max_return_bytes,
        concurrency=concurrency_of(config),
        forks_ahead=concurrency_of(config),
        max_memory_bytes=config.max_memory,
    )


def _pool(config: Config, project: Project) -> Executor:
    return PoolExecutor(
        project.setup_for_many,
        concurrency=concurrency_of(config),
        environment=template_environment(os.environ, config.pass_environment),
        path=project.path,
        timeout_seconds=config.timeout,
        kill_grace_seconds=config.kill_grace,
        output_bytes=config.output_bytes,
        max_return_bytes=config.max_return_bytes,
        max_runs=config.max_runs_per_child,
        max_rss_bytes=config.max_rss,
        max_memory_bytes=config.max_memory,
    )


def _spawn(config: Config, project: Project) -> Executor:
    python = config.python_path or sys.executable
    if shutil.which(python) is None:
        raise ConfigurationError(
            f"python_path = {python!r} is no program that can be run; name the interpreter that has the project's "
            "packages, or leave it out for the worker's own"
        )
    return SpawnExecutor(
        project.module,
        environment=template_environment(os.environ, config.pass_environment),
        path=project.path,
        python=python,
        limits=limits_of(config),
    )


def _command(config: Config) -> Executor:
    if not config.commands:
        raise ConfigurationError(
            "the executor command has no commands; map a task path or queue to a program, in reproq.toml as\n"
            '[commands]\n"queue:media" = ["/opt/media/run", "--fast"]'
        )
    if problems := missing_programs(config.commands, shutil.which):
        raise ConfigurationError("\n".join(problems))
    return CommandExecutor(
        config.commands,
        environment=template_environment(os.environ, config.pass_environment),
        passed=config.pass_environment,
        limits=limits_of(config),
    )


def limits_of(config: Config) -> Limits:
    """The bounds of every run that the worker starts itself."""
    return Limits(
        timeout_seconds=config.timeout,
        kill_grace_seconds=config.kill_grace,
        output_bytes=config.output_bytes,
        max_return_bytes=config.max_return_bytes,
        max_memory_bytes=config.max_memory,
    )
