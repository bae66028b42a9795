"""`reproq enqueue PATH`: enqueue a task of the project, as its code would, and wait for it if asked to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from reproq.cli import FAILED
from reproq.cli.project import configure, seconds_of
from reproq.cli.runs import parse_run_id
from reproq.cli.show import as_json_text, json_option, visible, when
from reproq.cli.waiting import await_ends
from reproq.error_lines import MAX_CHARS, error_line
from reproq.errors import ConfigurationError, ReproqError
from reproq.lifecycle import Status
from reproq.store.db import opened
from reproq.store.insight import RunDetail
from reproq.store.runs import result_id
from reproq.store.workers import installation
from reproq_django.imported import set_up
from reproq_django.project import choose_settings

if TYPE_CHECKING:
    from django.tasks import Task, TaskResult


@click.command()
@click.argument("path")
@click.option("--args", "args_text", metavar="JSON", default="[]", show_default=True, help="Positional arguments.")
@click.option("--kwargs", "kwargs_text", metavar="JSON", default="{}", show_default=True, help="Keyword arguments.")
@click.option("--queue", "queue_name", help="Another queue than the task's own.")
@click.option("--priority", type=click.IntRange(-100, 100), help="Another priority; higher first.")
@click.option("--in", "delay", metavar="DURATION", help="Not before this time has passed, such as 5m.")
@click.option("--at", "moment", metavar="ISO", help="Not before this moment, such as 2030-01-01T12:00:00+01:00.")
@click.option("--expires-in", metavar="DURATION", help="Never start it when it is overdue for longer than this.")
@click.option("--wait", metavar="DURATION", help="Wait this long for the end; exit with 1 when it failed.")
@click.option("--backend", metavar="ALIAS", help="Another TASKS alias than the task's own.")
@click.option("--settings", metavar="MODULE", help="Django's settings module.")
@json_option()
def enqueue(
    path: str, args_text: str, kwargs_text: str, wait: str | None, settings: str | None, as_json: bool, **using: Any
) -> int:
    """Enqueue the task at PATH, such as shop.tasks.send_receipt."""
    args, kwargs = _parsed("--args", args_text, list), _parsed("--kwargs", kwargs_text, dict)
    patience_seconds = 0.0 if wait is None else seconds_of("--wait", wait)
    if not choose_settings(settings):
        raise ConfigurationError("there is no Django project: run this where manage.py is, or give --settings")
    set_up()
    task = _task(path, **using)
    config, _ = configure({"backend": task.backend}, settings)
    with opened(config.dsn, "reproq enqueue") as database:
        with database.transaction() as cursor:
            installation(cursor)  # whatever is wrong with the database is said here, in one line
        run_id, _ = parse_run_id(_enqueued(task, args, kwargs).id)
        (run,) = await_ends(database, [run_id], patience_seconds)
    facts: dict[str, Any] = {"id": result_id(run.id, run.nonce), "status": run.status, "due_at": run.due_at}
    if run.return_json is not None:
        facts["return_value"] = json.loads(run.return_json)
    click.echo(as_json_text(facts) if as_json else _sentence(run))
    if wait is not None and not Status(run.status).is_finished:
        raise ReproqError(
            f"run {run.id} is still {run.status} after {patience_seconds:g} s and stays enqueued; {_hint(run)}"
        )
    return FAILED if run.status in (Status.FAILED, Status.CANCELLED) else 0


def _hint(run: RunDetail) -> str:
    """What to look at where a run takes longer than somebody wanted to wait."""
    if run.failures:
        return f"it failed {run.failures} of {run.max_attempts} times ({_newest_error(run, 100)}) and is tried again"
    if run.status == Status.RUNNING:
        return f"worker {run.worker_id} is at it"
    return f"does a worker serve the queue {run.queue_name}?"


def _newest_error(run: RunDetail, limit: int = MAX_CHARS) -> str:
    newest = json.loads(run.errors_json)[-1]
    return visible(error_line(newest.get("kind"), newest.get("exception_class"), newest.get("message"), limit))


@contextmanager
def _refusals_in_one_line() -> Iterator[None]:
    """What Django and the backend refuse is wrong usage here, and no traceback."""
    from django.core.exceptions import ImproperlyConfigured
    from django.tasks.exceptions import InvalidTask

    try:
        yield
    except (InvalidTask, ImproperlyConfigured) as error:
        raise ConfigurationError(str(error)) from error


def _enqueued(task: "Task", args: list[Any], kwargs: dict[str, Any]) -> "TaskResult":
    try:
        with _refusals_in_one_line():
            return task.enqueue(*args, **kwargs)
    except TypeError as error:  # the arguments are not those of the task
        raise click.UsageError(str(error)) from error


def _parsed(name: str, text: str, wanted: type) -> Any:
    kind = {list: "an array", dict: "an object"}[wanted]
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{name} = {text!r} is not JSON ({error}); give {kind}") from None
    if not isinstance(value, wanted):
        raise click.UsageError(f"{name} = {text!r} is not {kind}")
    return value


def _task(
    path: str,
    *,
    backend: str | None,
    queue_name: str | None,
    priority: int | None,
    delay: str | None,
    moment: str | None,
    expires_in: str | None,
) -> "Task":
    from django.conf import settings

    from reproq_django import conf
    from reproq_django.resolve import find_task

    if backend is not None and backend not in settings.TASKS:
        aliases = ", ".join(map(repr, settings.TASKS))
        raise click.UsageError(f"--backend = {backend!r} is none of the aliases of TASKS ({aliases})")

    if delay is not None and moment is not None:
        raise click.UsageError("give either --in or --at")
    run_after = None if moment is None else _moment(moment)
    if delay is not None:
        run_after = timedelta(seconds=seconds_of("--in", delay))
    task: Task = find_task(path, {}, "the command")
    alias = backend or task.backend
    if alias not in conf.backend_aliases():
        raise ConfigurationError(
            f"the task {path} belongs to TASKS[{alias!r}], whose backend is not Reproq's; set its BACKEND to "
            f"{conf.BACKEND!r}, or give --backend"
        )
    with _refusals_in_one_line():
        return task.using(
            backend=backend,
            queue_name=queue_name,
            priority=priority,
            run_after=run_after,
            expires_in=None if expires_in is None else seconds_of("--expires-in", expires_in),
        )


def _moment(text: str) -> Any:
    from django.utils import timezone

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--at = {text!r} is not a moment such as 2030-01-01T12:00:00+01:00") from None
    if moment.tzinfo is None:
        moment = timezone.make_aware(moment)
    if moment < timezone.now():
        raise click.UsageError(f"--at = {text!r} is in the past; leave it out to run at once")
    return moment


def _sentence(run: RunDetail) -> str:
    text = f"run {result_id(run.id, run.nonce)} is {run.status}"
    match run.status:
        case Status.SUCCESSFUL:
            return f"{text} and returned {run.return_json}"
        case Status.FAILED | Status.CANCELLED:
            return f"{text}: {_newest_error(run)}; all of it: reproq runs show {run.id}"
        case Status.SCHEDULED:
            return f"{text} for {when(run.due_at)}"
    return text
