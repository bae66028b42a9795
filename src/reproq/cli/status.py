"""`reproq status`: what waits, what runs, what ended in the last hour, and who works."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import click

from reproq.cli import FOUND_SOMETHING
from reproq.cli.project import configure, database_options
from reproq.cli.show import as_json_text, console, json_option, unseen, when
from reproq.cli.worker_command import start_command, worker_command
from reproq.config import Config
from reproq.retention import FINISHED, Rule, rules, shown
from reproq.scheduler.pgcron import fires_alone, our_jobs
from reproq.store.db import opened
from reproq.store.insight import WorkerLine, count_finished, count_unfinished, list_workers
from reproq.store.locked import looking
from reproq.store.periodic import ScheduleHealth, health
from reproq.store.pgcron import JobLine
from reproq.store.queues import ready_queues
from reproq.store.retention import Outlook, outlook
from reproq.values import lasting

WINDOW_SECONDS: Final = 3600.0


@click.command()
@database_options
@json_option()
@click.option("--here", is_flag=True, help="Say only whether a worker of this host is alive; exit with 3 when none is.")
def status(settings: str | None, as_json: bool, here: bool, **flags: Any) -> int:
    """Show the queue and its workers."""
    config, project = configure(flags, settings)
    if here:
        return say_who_lives_here(config)
    with opened(config.dsn, "reproq status") as database, looking(database) as cursor:
        unfinished = count_unfinished(cursor)
        finished = count_finished(cursor, WINDOW_SECONDS)
        workers = list_workers(cursor)
        coming = [(rule, outlook(cursor, config.backend, rule)) for rule in rules(config.retention)]
        alive = [worker for worker in workers if is_alive(worker, config)]
        unserved = unserved_queues(ready_queues(cursor), alive)
        jobs = [line for line in our_jobs(cursor) if line.job.active]
        schedules = health(cursor, has_beat=not fires_alone(jobs, workers, config.lease))
    if as_json:
        facts = {"unfinished": unfinished, "finished_last_hour": finished, "unserved_queues": unserved}
        facts["schedules"] = asdict(schedules)
        told = [{"after_seconds": rule.age_seconds, "of": covered(rule), **asdict(seen)} for rule, seen in coming]
        click.echo(as_json_text({**facts, "workers": [asdict(worker) for worker in workers], "retention": told}))
        return 0
    out = console()
    out.print("now        " + "  ".join(f"{name} {count}" for name, count in unfinished.items()))
    out.print("last hour  " + ("  ".join(f"{name} {count}" for name, count in finished.items()) or "nothing finished"))
    for worker in workers:
        out.print(line_of(worker, config, others_of(worker, alive), pg_cron=bool(jobs)))
    command = start_command(config, project.queues_here, unserved)
    if not any(worker.role == "worker" for worker in alive):
        none = "none is alive" if any(worker.role == "worker" for worker in workers) else "none"
        out.print(f"worker     {none}; start one with: {command}", soft_wrap=True)
    for name in unserved:
        remedy = worker_command(config, project.queues_here, [name])
        out.print(
            f"queue      {name}: runs are READY, and no worker serves it; start one with: {remedy}", soft_wrap=True
        )
    for text in lines_of(schedules, alive, jobs, command):
        out.print(text)
    for line in retention_lines(coming):
        out.print(f"retention  {line}", soft_wrap=True)
    return 0


def others_of(worker: WorkerLine, alive: Sequence[WorkerLine]) -> list[WorkerLine]:
    """The living workers and beats besides this one."""
    return [one for one in alive if one.worker_id != worker.worker_id]


def line_of(worker: WorkerLine, config: Config, others: Sequence[WorkerLine], *, pg_cron: bool = False) -> str:
    """One worker, or one beat; if it is lost, who does its work now: one of the `others`, or pg_cron."""
    seen = f"last seen {lasting(worker.unseen_seconds)} ago"
    if worker.role == "beat":
        fired = pg_cron or any(one.beats for one in others)
        lost = f"lost; {'others fire schedules' if fired else 'nobody else fires schedules'}"
        return f"beat       {worker.worker_id}  {'firing schedules' if is_alive(worker, config) else lost}; {seen}"
    state = "draining" if worker.draining else "working"
    if not is_alive(worker, config):
        rescued = any(one.role == "worker" for one in others)
        state = f"lost; {'other workers rescue what it held' if rescued else 'what it held waits for a worker'}"
    does = f"{worker.executor} x {worker.concurrency}  queues {','.join(worker.queues)}"
    return f"worker     {worker.worker_id}  {does}  {state}; {seen}"


def lines_of(schedules: ScheduleHealth, alive: list[WorkerLine], jobs: list[JobLine], command: str) -> Iterator[str]:
    """How schedules stand, where there are any, and who fires them."""
    if not (schedules.enabled or schedules.paused):
        return
    if not schedules.enabled:
        yield f"schedules  0 on, {schedules.paused} paused"
        return
    last = min((worker.unseen_seconds for worker in alive if worker.beats), default=None)
    who = f"nobody fires them; start {command}, or reproq beat" if last is None else f"last beat {lasting(last)} ago"
    if jobs:
        who = "pg_cron fires them" + ("" if last is None else f", and workers; {who}")
    fault = f", {schedules.at_fault} at fault (reproq schedules list)" if schedules.at_fault else ""
    yield f"schedules  {schedules.enabled} on, {schedules.paused} paused{fault}; {who}"
    if schedules.lag_p50_seconds is not None:
        lag, most = schedules.lag_p50_seconds, schedules.lag_max_seconds
        yield f"lag        {lag:.3f} s from due to enqueued, {most:.3f} s at most"
    for name, seconds in schedules.overdue.items():
        yield f"overdue    {name} {unseen(seconds)}"


def covered(rule: Rule) -> str:
    """The runs that a rule deletes. Queues that lose the same are told together."""
    of_queue: dict[str, tuple[str, ...]] = {}
    for status, _, queue in (pair.partition(" ") for pair in rule.pairs):
        of_queue[queue] = (*of_queue.get(queue, ()), status)
    alike: dict[tuple[str, ...], list[str]] = {}
    for queue, statuses in of_queue.items():
        alike.setdefault(statuses, []).append(queue)
    general = alike.pop(rule.statuses, []) if rule.statuses else []  # a queue that says what all the others do
    others = [name for name in rule.named if name not in general]
    everywhere = [runs_of(rule.statuses, "all queues but ", others)] if rule.statuses else []
    return "; ".join([*everywhere, *(runs_of(statuses, "", queues) for statuses, queues in alike.items())])


def runs_of(statuses: Sequence[str], words: str, queues: Sequence[str]) -> str:
    """Runs of these statuses, in these queues, if any are named."""
    runs = "all finished runs" if len(statuses) == len(FINISHED) else f"{listed(statuses)} runs"
    return f"{runs} of {words}{listed(queues)}" if queues else runs


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def retention_lines(coming: list[tuple[Rule, Outlook]]) -> list[str]:
    """What will be deleted when, one line a rule."""
    lines = [f"deletes after {shown(rule.age_seconds)}: {covered(rule)} ({in_words(seen)})" for rule, seen in coming]
    return lines or ["off; no run is ever deleted"]


def in_words(seen: Outlook) -> str:
    """What goes now, and when the next one does."""
    over = f"{seen.over:,}{' or more' if seen.is_more else ''} now" if seen.over or seen.is_more else "none now"
    return f"{over}, the next at {when(seen.next_at)}" if seen.next_at else over


def say_who_lives_here(config: Config) -> int:
    """For health checks: the worker of this host, by what the database has heard of it within its lease."""
    with opened(config.dsn, "reproq status") as database, looking(database) as cursor:
        workers = list_workers(cursor)
    hostname = socket.gethostname()
    alive = [worker for worker in workers if worker.hostname == hostname and is_alive(worker, config)]
    for worker in alive:
        click.echo(f"{worker.worker_id} is alive; last seen {lasting(worker.unseen_seconds)} ago")
    if not alive:
        click.echo(f"no worker of {hostname} was seen within the lease of {config.lease:g} s", err=True)
    return 0 if alive else FOUND_SOMETHING


def is_alive(worker: WorkerLine, config: Config) -> bool:
    """Whether its leases can still hold, by the lease of this configuration."""
    return worker.unseen_seconds <= config.lease


def unserved_queues(ready: list[str], workers: list[WorkerLine]) -> list[str]:
    """The queues with READY runs that none of these workers serves."""
    served = {name for worker in workers for name in worker.queues}
    return [] if "*" in served else [name for name in ready if name not in served]
