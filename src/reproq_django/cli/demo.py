"""`reproq demo`: a worker at real work on an embedded PostgreSQL, and a summary of what became of every run.

It starts the server, migrates, enqueues, runs a worker with a progress bar, replays one run, and ends everything that
it started. The project is `reproq_django.quickstart`.
"""

import fcntl
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from reproq.cli.project import configure
from reproq.cli.show import console
from reproq.cli.worker import build_worker
from reproq.config import KNOBS
from reproq.errors import ReproqError
from reproq.service import serve
from reproq.telemetry.events import Event

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

SETTINGS: Final = "reproq_django.quickstart.settings"
ENDS: Final = ("run.succeeded", "run.failed")
FIRED: Final = ("schedule.enqueued", "schedule.caught_up")
SCHEDULED_SECONDS: Final = 2.5
"""How long the schedule fires: it ends before the run that waits for three seconds, and so before the worker."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What the demo enqueued: the ids by what they show, and how many there are."""

    total: int
    twins: tuple[str, str]
    """Two runs of the same spec."""


@click.command()
@click.option("--keep-server", is_flag=True, help="Leave the embedded server running, to look around.")
def demo(keep_server: bool) -> int:
    """Show Reproq at work: several hundred real runs, every way a run can end, and a replay. Takes half a minute."""
    os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
    for name in KNOBS["dsn"].environment:  # a database of somebody's is no place for a demo
        os.environ.pop(name, None)
    import django

    django.setup()
    from django.db import connections

    out = console()
    with _alone():
        started_here = _start_server(out)
        try:
            return _show(out)
        finally:
            connections.close_all()
            if started_here is not None and not keep_server:
                started_here.stop()


@contextmanager
def _alone() -> Iterator[None]:
    """Two demos of one database would count each other's runs, and the first to end would stop the other's server."""
    from django.db import connections

    entry = connections["default"].settings_dict
    folder = entry.get("EMBEDDED", {}).get("path") or os.path.join(tempfile.gettempdir(), f"reproq-demo-{os.getuid()}")
    with open(f"{folder}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReproqError(
                f"a demo is running already (it holds {folder}.lock); let it end, or name another folder in "
                "REPROQ_DEMO_FOLDER"
            ) from None
        yield


def _start_server(out: "Console") -> Any:
    """The embedded server if it was started here; None when it ran already or the demo uses another database."""
    from django.db import connections

    from reproq_django.embedded import ENGINE, ensure_running, server_for

    settings_dict = connections["default"].settings_dict
    if settings_dict["ENGINE"] != ENGINE:
        return None
    server = server_for(settings_dict)
    ran_already = server.status() is not None
    began = time.monotonic()
    ensure_running(settings_dict)
    out.print(f"PostgreSQL {server.version()} is up after {time.monotonic() - began:.1f} s, in {server.path}")
    return None if ran_already else server


def _show(out: "Console") -> int:
    from django.core.management import call_command
    from django.db import connections

    from reproq_django.quickstart import summary

    call_command("migrate", verbosity=0)
    first_id = summary.newest_run_id() + 1
    enqueued = enqueue_everything()
    out.print(f"{enqueued.total} runs are enqueued, in one transaction")
    connections.close_all()
    began = time.monotonic()
    code = work_off(enqueued.total, first_id, out)
    seconds = time.monotonic() - began
    if code == 0 and summary.unfinished(first_id) == 0:
        summary.print_summary(out, first_id, seconds, enqueued.twins)
        code = summary.print_replay(out, enqueued.twins[0], lambda new_id: work_off(1, new_id, out))
        print_how_to_look_further(out, summary.newest_failed_id())
        return code
    out.print("stopped before everything had ended; what is left stays enqueued")
    return code or 1


def enqueue_everything() -> Enqueued:
    """Every source file, and one run for each other way to end."""
    from datetime import timedelta

    from django.db import transaction

    from reproq_django.quickstart import tasks
    from reproq_django.quickstart.figures import source_files

    names = source_files()
    schedule_for_seconds(SCHEDULED_SECONDS)
    with transaction.atomic():
        measured = [tasks.measure_module.enqueue(name) for name in names]
        twin = tasks.measure_module.enqueue(names[0])
        tasks.always_raises.enqueue()
        tasks.third_time_lucky.enqueue()
        tasks.never_ends.enqueue()
        tasks.say_it_later.using(run_after=timedelta(seconds=3)).enqueue("three seconds have passed")
        tasks.wait_politely.enqueue(0.1)
        tasks.greet.enqueue("the standard library")
    return Enqueued(len(names) + 7, (measured[0].id, twin.id))


def schedule_for_seconds(seconds: float) -> None:
    """Let the quickstart's schedule, which the migration has stored, fire from now on, and end."""
    from datetime import timedelta

    from django.utils import timezone

    from reproq_django.quickstart.summary import the_schedule

    job = the_schedule()
    job.start_at = timezone.now()
    job.end_at = job.start_at + timedelta(seconds=seconds)
    job.save()


def work_off(total: int, first_id: int, out: "Console") -> int:
    """Run a worker until nothing is left, with a progress bar for the runs from `first_id` on: its exit code."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    config, project = configure({"backend": "default"}, SETTINGS)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress:
        return serve(build_worker(config, project, burst=True, handlers=(_Bar(progress, total, first_id),)))


class _Bar:
    """Moves the progress bar with every run that ended, and shows what goes wrong beside it."""

    def __init__(self, progress: "Progress", total: int, first_id: int) -> None:
        self._progress = progress
        self._first_id = first_id
        self._total = total
        self._task = progress.add_task("runs", total=total)

    def __call__(self, event: Event) -> None:
        if event.name in FIRED:
            self._total += 1
            self._progress.update(self._task, total=self._total)
        elif event.name in ENDS and int(event.fields["id"] or 0) >= self._first_id:
            self._progress.advance(self._task)
        elif event.name.endswith(".notice"):
            self._progress.console.print(event.fields["text"])


def print_how_to_look_further(out: "Console", failed_id: int) -> None:
    """The commands that show more, written so that they work when they are copied."""
    program = os.path.relpath(sys.argv[0]) if os.path.sep in sys.argv[0] else "reproq"
    program = f"{shlex.quote(sys.executable)} -m reproq" if program.endswith("__main__.py") else shlex.quote(program)
    out.print("\nLook further; where the server is the embedded one, the first command starts it again:")
    out.print(f"  export DJANGO_SETTINGS_MODULE={SETTINGS}", soft_wrap=True)
    for arguments in ("status", "runs list --status FAILED", f"runs show {failed_id}", "embedded stop"):
        out.print(f"  {program} {arguments}", soft_wrap=True)
