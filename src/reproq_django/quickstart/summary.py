"""What the demo prints at its end: read through the ORM and Django's own TaskResult, as a project would."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db.models import Count
from django.tasks import default_task_backend

from reproq.error_lines import error_line
from reproq.lifecycle import FINISHED
from reproq.schedule.expression import parse
from reproq_django.models import PeriodicTask, TaskRun, Tick

if TYPE_CHECKING:
    from rich.console import Console

MEASURE = "reproq_django.quickstart.tasks.measure_module"
SCHEDULED = "reproq_django.quickstart.tasks.tell_the_time"


def newest_run_id() -> int:
    """The id of the newest run, 0 when there is none."""
    return TaskRun.objects.order_by("-id").values_list("id", flat=True).first() or 0


def newest_failed_id() -> int:
    """The id of the newest run that failed, 0 when there is none."""
    return TaskRun.objects.filter(status="FAILED").order_by("-id").values_list("id", flat=True).first() or 0


def unfinished(first_id: int) -> int:
    """How many runs from this id on have not ended."""
    return TaskRun.objects.filter(id__gte=first_id).exclude(status__in=FINISHED).count()


def print_summary(out: "Console", first_id: int, seconds: float, twins: tuple[str, str]) -> None:
    """Counts, the largest modules, the failures, and two runs of one spec."""
    mine = TaskRun.objects.filter(id__gte=first_id)
    counts = mine.order_by("status").values_list("status").annotate(Count("id"))
    shown = ", ".join(f"{count} {status}" for status, count in counts)
    out.print(f"\n{shown} in {seconds:.1f} s, every run in a process of its own\n")
    _print_largest(out, mine)
    _print_others(out, mine)
    _print_schedule(out, mine)
    _print_twins(out, twins)


def _print_largest(out: "Console", mine: Any) -> None:
    from rich.table import Table

    figures = [run.return_value for run in mine.filter(task_path=MEASURE, status="SUCCESSFUL").defer(None)]
    distinct = {figure["module"]: figure for figure in figures}.values()
    table = Table(
        "module",
        "lines",
        "functions",
        "classes",
        "deepest",
        title="The ten largest modules",
        title_justify="left",
        box=None,
    )
    for figure in sorted(distinct, key=lambda figure: -figure["lines"])[:10]:
        table.add_row(*(str(figure[name]) for name in ("module", "lines", "functions", "classes", "deepest")))
    out.print(table)


def _print_others(out: "Console", mine: Any) -> None:
    from rich.table import Table

    table = Table(
        "task", "status", "attempts", "what became of it", title="\nThe others", title_justify="left", box=None
    )
    others = mine.exclude(task_path=MEASURE, status="SUCCESSFUL").exclude(task_path=SCHEDULED)
    for run in others.order_by("id").defer(None):
        last = run.errors[-1] if run.errors else {}
        why = run.return_value if run.status == "SUCCESSFUL" else _told(last)
        table.add_row(run.task_path.rpartition(".")[2], run.status, str(run.attempts), str(why))
    out.print(table)


def _told(error: dict[str, Any]) -> str:
    return error_line(error["kind"], error["exception_class"], error["message"])


def the_schedule() -> PeriodicTask:
    """The one that tasks.py declares."""
    return PeriodicTask.objects.get(task_path=SCHEDULED)


def _print_schedule(out: "Console", mine: Any) -> None:
    """What the schedule has fired meanwhile, each tick beside what its run returned."""
    runs = dict(mine.filter(task_path=SCHEDULED).defer(None).values_list("id", "return_value"))
    ticks = Tick.objects.filter(run_id__in=runs).order_by("due_at")
    job = the_schedule()
    words = parse(job.cron_expr).words.lower()
    out.print(f"\nThe schedule {job.name!r} ({words}) fired {len(runs)} times:")
    for tick in ticks:
        out.print(f"  due at {tick.due_at:%H:%M:%S} UTC, run {tick.run_id} returned {runs[tick.run_id]}")


def _print_twins(out: "Console", twins: tuple[str, str]) -> None:
    ids = [int(twin.partition("-")[0]) for twin in twins]
    hashes = set(TaskRun.objects.filter(id__in=ids).values_list("spec_hash", flat=True))
    out.print(f"\nRuns {ids[0]} and {ids[1]} are the same call, enqueued twice. They have {len(hashes)} spec_hash:")
    out.print("  " + " ".join(sorted(hashes)), soft_wrap=True)


def print_replay(out: "Console", result_id: str, work_off: Callable[[int], int]) -> int:
    """Replay one run, run it, compare: the exit code is 0 when both returned the same."""
    from django.db import connection, connections

    from reproq.cli import FOUND_SOMETHING
    from reproq.replay import Sameness, compare, replay
    from reproq.store.insight import show_run

    with connection.cursor() as cursor:
        old, new = replay(cursor, run_id=int(result_id.partition("-")[0]))
    connections.close_all()
    out.print(f"\nRun {old} is replayed as run {new}:")
    if code := work_off(new):
        return code
    with connection.cursor() as cursor:
        comparison = compare(show_run(cursor, old), show_run(cursor, new))
    if comparison.sameness == Sameness.DIFFERS:
        out.print(f"{comparison.sameness}: before {comparison.before}, now {comparison.after}")
        return FOUND_SOMETHING
    out.print(f"{comparison.sameness}: both returned {default_task_backend.get_result(result_id).return_value}")
    return 0
