"""`reproq enqueue PATH`: enqueue a task of the project, as its code would, and wait for it if asked to."""

import json
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from reproq.cli.project import seconds_of
from reproq.errors import ConfigurationError, ReproqError
from reproq_django.project import choose_settings

if TYPE_CHECKING:
    from django.tasks import Task, TaskResult

LOOK_EVERY_SECONDS: Final = 0.1
FAILED: Final = 1


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
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def enqueue(
    path: str, args_text: str, kwargs_text: str, wait: str | None, settings: str | None, as_json: bool, **using: Any
) -> int:
    """Enqueue the task at PATH, such as shop.tasks.send_receipt."""
    args, kwargs = _parsed("--args", args_text, list), _parsed("--kwargs", kwargs_text, dict)
    patience_seconds = None if wait is None else seconds_of("--wait", wait)
    if not choose_settings(settings):
        raise ConfigurationError("there is no Django project: run this where manage.py is, or give --settings")
    import django

    django.setup()
    from django.tasks.exceptions import InvalidTask

    try:
        result = _task(path, **using).enqueue(*args, **kwargs)
    except InvalidTask as error:
        raise click.UsageError(str(error)) from None
    if patience_seconds is not None:
        _wait(result, patience_seconds)
    facts = {"id": result.id, "status": str(result.status)}
    if result.status == "SUCCESSFUL":
        facts["return_value"] = result.return_value
    click.echo(json.dumps(facts) if as_json else _sentence(facts))
    return FAILED if result.status == "FAILED" else 0


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

    from reproq_django.resolve import find_task

    if backend is not None and backend not in settings.TASKS:
        aliases = ", ".join(map(repr, settings.TASKS))
        raise click.UsageError(f"--backend = {backend!r} is none of the aliases of TASKS ({aliases})")

    if delay is not None and moment is not None:
        raise click.UsageError("give either --in or --at")
    run_after = None if moment is None else _moment(moment)
    if delay is not None:
        run_after = timedelta(seconds=seconds_of("--in", delay))
    task: Task = find_task(path, {}, "(to be enqueued)").using(
        backend=backend,
        queue_name=queue_name,
        priority=priority,
        run_after=run_after,
        expires_in=None if expires_in is None else seconds_of("--expires-in", expires_in),
    )
    return task


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


def _wait(result: "TaskResult", patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while not result.is_finished:
        if time.monotonic() > deadline:
            raise ReproqError(
                f"run {result.id} is still {result.status} after {patience_seconds:g} s and stays enqueued; "
                f"does a worker serve the queue {result.task.queue_name}?"
            )
        time.sleep(LOOK_EVERY_SECONDS)
        result.refresh()


def _sentence(facts: dict[str, Any]) -> str:
    text = f"run {facts['id']} is {facts['status']}"
    return f"{text} and returned {json.dumps(facts['return_value'])}" if "return_value" in facts else text
