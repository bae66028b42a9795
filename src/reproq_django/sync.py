"""Stores what the code declares: creates, updates, and tells where somebody has changed what the code says.

Each row remembers what the code last said of it. What the code says differently since then is updated; what somebody
changed meanwhile is drift, told and left alone, or overwritten when asked. Whether it is switched on is never touched.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.tasks import Task, task_backends
from django.utils import timezone
from psycopg.errors import UniqueViolation

from reproq.errors import InvalidArguments
from reproq_django import conf
from reproq_django.arguments import normalised
from reproq_django.declared import Declaration
from reproq_django.task_modules import declarations
from reproq_django.task_options import effective

if TYPE_CHECKING:
    from reproq_django.periodic_tasks import PeriodicTask

MOMENTS: Final = ("start_at", "end_at")


@dataclass(slots=True)
class SyncReport:
    """What became of each schedule, by its name. `drifted` has, for each field, what the code says and what is stored;
    `gone` are those that the code no longer declares; `problems` are sentences about those that could not be stored."""

    created: list[str] = field(default_factory=list)
    updated: dict[str, list[str]] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    drifted: dict[str, dict[str, tuple[Any, Any]]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def sync(alias: str, *, prune: bool = False, overwrite: bool = False, only_look: bool = False) -> SyncReport:
    """Store what is declared for the backends of one database, all or nothing of each schedule. With `only_look`
    nothing is stored. Raises ConfigurationError where a task module cannot be imported."""
    report = SyncReport()
    wanted = _wanted(alias, declarations(), report)
    with transaction.atomic(using=alias):
        for name, says in wanted.items():
            with transaction.atomic(using=alias):
                _store(alias, name, says, overwrite, report)
        _find_gone(alias, wanted.keys() | report.problems.keys(), prune, report)
        if only_look:
            transaction.set_rollback(True, using=alias)
    return report


def _wanted(alias: str, declared: Iterable[tuple[Task, Declaration]], report: SyncReport) -> dict[str, dict[str, Any]]:
    from reproq_django.schedule_checks import faults_of

    ours = [backend for backend in conf.backend_aliases() if conf.database_alias(backend) == alias]
    wanted: dict[str, dict[str, Any]] = {}
    for task, one in declared:
        if task.backend not in ours:
            continue
        if one.faults:
            report.problems[one.name or task.module_path] = " ".join(faults_of(task, one))
            continue
        says = columns_of(task, one)
        if says["name"] in wanted:
            report.problems[says["name"]] = (
                f"two schedules bear the name {says['name']!r} ({wanted[says['name']]['task_path']} and "
                f"{says['task_path']}); say name=… in one of them"
            )
        wanted.setdefault(says["name"], says)
    return wanted


def columns_of(task: Task, one: Declaration) -> dict[str, Any]:
    """What a declaration says of each column of its row; the options of its runs are those of an enqueue."""
    backend: Any = task_backends[task.backend]
    options = effective(task, backend.settled.defaults)
    first_line = (task.func.__doc__ or "").strip().partition("\n")[0]
    return {column: value for column, value in asdict(one).items() if column != "faults"} | {
        "name": one.name or task.module_path,
        "time_zone": one.time_zone or timezone.get_default_timezone_name(),
        "description": first_line if one.description is None else one.description,
        "args": _as_stored(list(one.args), "args"),
        "kwargs": _as_stored(dict(one.kwargs), "kwargs"),
        "queue_name": one.queue_name or task.queue_name,
        "priority": int(task.priority if one.priority is None else one.priority),
        "backend": task.backend,
        "task_path": task.module_path,
        "max_attempts": options.max_attempts,
        "backoff_seconds": None if options.backoff is None else list(options.backoff),
        "timeout_seconds": options.timeout,
        "expires_in_seconds": options.expires_in,
        "on_lost_contact": options.on_lost_contact,
    }


def _as_stored(value: Any, name: str) -> Any:
    """The value as the table will give it, so that the two can be compared; the rules refuse what JSON cannot say."""
    try:
        return normalised(value, name)
    except InvalidArguments:
        return value


def _store(alias: str, name: str, says: dict[str, Any], overwrite: bool, report: SyncReport) -> None:
    from reproq_django.periodic_tasks import PeriodicTask

    row = PeriodicTask.objects.using(alias).select_for_update().filter(name=name).first()
    if row is None:
        _create(alias, PeriodicTask(**says, declared=_remembered(says)), report)
    elif row.declared is None:
        report.problems[name] = "a schedule of this name was made by hand; remove it, or say another name=… in the code"
    else:
        _merge(alias, row, says, overwrite, report)


def _create(alias: str, row: "PeriodicTask", report: SyncReport) -> None:
    if _is_good(row, report):
        try:
            with transaction.atomic(using=alias):
                row.save(using=alias)
        except IntegrityError as error:
            if not isinstance(error.__cause__, UniqueViolation):
                raise
            report.unchanged.append(row.name)  # another process has just done the same
        else:
            report.created.append(row.name)


def _merge(alias: str, row: "PeriodicTask", says: dict[str, Any], overwrite: bool, report: SyncReport) -> None:
    now_says, once_said = _remembered(says), row.declared
    stored = _remembered({column: getattr(row, column) for column in says})
    differing = [column for column in says if now_says[column] != stored[column]]
    new_in_code = [column for column in differing if overwrite or now_says[column] != once_said.get(column)]
    drift = {column: (now_says[column], stored[column]) for column in differing if column not in new_in_code}
    for column in new_in_code:
        setattr(row, column, says[column])
    row.declared = now_says
    if drift:
        report.drifted[row.name] = drift
    if not _is_good(row, report):
        return
    if new_in_code or once_said != now_says:
        row.save(using=alias)
    if new_in_code:
        report.updated[row.name] = new_in_code
    elif not drift:
        report.unchanged.append(row.name)


def _is_good(row: "PeriodicTask", report: SyncReport) -> bool:
    from reproq_django.schedule_checks import sentences

    try:
        row.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        of_columns = ((column, text) for column, texts in error.message_dict.items() for text in texts)
        report.problems[row.name] = " ".join(sentences(of_columns))
    return row.name not in report.problems


def _remembered(says: dict[str, Any]) -> dict[str, Any]:
    """The same, as JSON keeps it: moments as texts in UTC."""
    from reproq_django.periodic_rules import aware

    return {
        column: aware(value).astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        for column, value in says.items()
    }


def _find_gone(alias: str, known: Iterable[str], prune: bool, report: SyncReport) -> None:
    from reproq_django.periodic_tasks import PeriodicTask

    gone = PeriodicTask.objects.using(alias).filter(declared__isnull=False).exclude(name__in=list(known))
    names = sorted(gone.values_list("name", flat=True))
    if prune:
        gone.delete()
        report.pruned = names
    else:
        report.gone = names
