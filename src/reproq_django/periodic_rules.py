"""What is wrong with a periodic task, before it is stored: what no scheduler could fire, and what no worker could run.

The same questions for the admin, the command line, `full_clean` and `@periodic`; each answer names field and remedy.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.utils import timezone

from reproq.config import load
from reproq.errors import ConfigurationError, InvalidArguments, UnknownTask
from reproq.queue_names import queue_name_fault
from reproq.schedule.timing import MAX_BOUND, Written
from reproq.schedule.timing import faults as timing_faults
from reproq.spec import make_spec
from reproq.values import outside
from reproq_django import conf
from reproq_django.task_options import MAX_EXPIRY_SECONDS, MIN_EXPIRY_SECONDS, parse_option

if TYPE_CHECKING:
    from django.tasks import Task

    from reproq_django.periodic_tasks import PeriodicTask

Fault = tuple[str, str]
"""A field, and what is wrong with it."""

MAX_NAME_CHARACTERS: Final = 200
MAX_PRIORITY: Final = 100
CALL: Final = frozenset({"task_path", "args", "kwargs"})


def faults(job: "PeriodicTask", unread: frozenset[str] = frozenset()) -> list[Fault]:
    """All that is wrong. Fields in `unread` have no value: whoever asks has told why already."""
    found = [*_name(job), *_timing(job), *_bounds(job), *_place(job)]
    if not CALL & unread:
        found += _call(job)
    return [fault for fault in found if fault[0] not in unread]


def _name(job: "PeriodicTask") -> Iterator[Fault]:
    if not job.name or not job.name.isprintable() or job.name != job.name.strip():
        yield "name", "Give a name of printable characters, without blanks at its ends."
    elif len(job.name) > MAX_NAME_CHARACTERS:
        yield "name", f"The name has {len(job.name):,} characters, over the bound of {MAX_NAME_CHARACTERS}; shorten it."


def _timing(job: "PeriodicTask") -> Iterator[Fault]:
    for fault in timing_faults(written(job)):
        yield fault.field, str(fault)


def written(job: "PeriodicTask") -> Written:
    """What a row says of its timing. What is of another type is left out: its field has refused it already."""
    start, end = (aware(one) if isinstance(one, datetime) else None for one in (job.start_at, job.end_at))
    return Written(
        name=str(job.name),
        cron_expr=str(job.cron_expr or ""),
        time_zone=str(job.time_zone or ""),
        jitter_seconds=job.jitter_seconds if isinstance(job.jitter_seconds, int | float) else 0.0,
        start_at=start,
        end_at=end,
    )


def aware(moment: datetime) -> datetime:
    """A moment as Django has it, with its zone: it has none where USE_TZ is off, and the project's is meant."""
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def _bounds(job: "PeriodicTask") -> Iterator[Fault]:
    bounds: list[tuple[str, float, float]] = [
        ("catch_up_bound", 1, MAX_BOUND),
        ("priority", -MAX_PRIORITY, MAX_PRIORITY),
        ("expires_in_seconds", MIN_EXPIRY_SECONDS, MAX_EXPIRY_SECONDS),
    ]
    for field, low, high in bounds:
        value = getattr(job, field)
        if isinstance(value, int | float) and not low <= value <= high:
            yield field, f"{field} = {value:g} {outside(low, high)}."
    for field, option in (("max_attempts", "max_attempts"), ("timeout_seconds", "timeout")):
        if (value := getattr(job, field)) is not None:
            try:
                parse_option(option, value)
            except ValueError as error:
                yield field, f"{error}."


def _place(job: "PeriodicTask") -> Iterator[Fault]:
    if fault := queue_name_fault(job.queue_name):
        yield "queue_name", f"This {fault}."
    aliases = conf.backend_aliases()
    if aliases and job.backend not in aliases:
        yield (
            "backend",
            f"TASKS has no backend {job.backend!r} of Reproq's; those are {', '.join(map(repr, aliases))}.",
        )


def _call(job: "PeriodicTask") -> Iterator[Fault]:
    if fault := task_path_fault(str(job.task_path or "")):
        yield "task_path", fault
        return
    try:
        make_spec(job.task_path, job.args, job.kwargs)
    except InvalidArguments as refusal:
        yield ("kwargs" if refusal.path.startswith("kwargs") else "args"), str(refusal)
        return
    if _is_a_program(job):
        return
    try:
        task = found_task(job.task_path, job.backend)
    except UnknownTask as error:
        yield "task_path", f"{error}."
        return
    yield from _fit(job, task)


def _fit(job: "PeriodicTask", task: "Task") -> Iterator[Fault]:
    from reproq_django.validation import TaskRules

    try:
        TaskRules().validate_call(task, job.args, job.kwargs)
    except TypeError as error:
        yield "args", f"{error}."
    queues = conf.queue_names(job.backend)
    if queues and job.queue_name not in queues and not queue_name_fault(job.queue_name):
        yield (
            "queue_name",
            f"TASKS[{job.backend!r}]['QUEUES'] does not have {job.queue_name!r} (it has {', '.join(queues)}); add it "
            "there, or set QUEUES to [] for any.",
        )


def task_path_fault(path: str) -> str:
    """Why a text is no dotted path."""
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        return "A task path is a module and a name with dots between them, such as shop.tasks.remind."
    return ""


def found_task(path: str, backend: str) -> "Task":
    """The Task at a path, as a worker would find it. Raises UnknownTask, with what to do."""
    from reproq_django.resolve import find_task

    aliases: Any = conf.options_of(conf.params_of(backend)).get("task_aliases")
    return find_task(path, aliases if isinstance(aliases, dict) else {}, "the schedule")


def _is_a_program(job: "PeriodicTask") -> bool:
    """Whether the backend maps the path to a program of any language, so that there need be no Task."""
    from reproq.executors.command import argv_for

    try:
        commands = load(conf.options_source(job.backend)).commands
    except ConfigurationError:  # a system check says what is wrong
        return False
    return argv_for(commands, job.task_path, job.queue_name) is not None
