"""What is wrong with the schedules that the code declares, as system checks: everything at once, and before anything is
stored. It imports the task modules, as a worker does, and asks no database.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's word
from django.core.exceptions import ImproperlyConfigured
from django.tasks import Task

from reproq.errors import ConfigurationError
from reproq_django import conf
from reproq_django.declared import Declaration
from reproq_django.task_modules import declarations

REMEDY: Final = "correct @periodic, and run: reproq schedules sync"
TOLD_AT_START: Final = 3
"""What a worker logs of them: the first few, a line each."""


def check_declarations(**kwargs: Any) -> list[CheckMessage]:
    """One error for each `@periodic` that will not be stored, with all that is wrong with it."""
    ours = conf.backend_aliases()
    if not ours:
        return []
    try:
        declared = [(task, one) for task, one in declarations() if task.backend in ours]
    except ConfigurationError as error:  # no error: `migrate` may be what the module waits for
        hint = "Mend the module, or take it off TASK_MODULES: workers import what is called tasks."
        return [Warning(f"{error}.", hint=hint, id="reproq.W017")]
    return [
        Error(sentence, hint=f"{REMEDY[0].upper()}{REMEDY[1:]}", obj=task.module_path, id="reproq.E016")
        for task, sentence in _wrong(declared)
    ]


def wrong_declarations() -> list[str]:
    """For a worker's start, which no check goes before: what is wrong with the first few, a sentence each."""
    ours = conf.backend_aliases()
    found = list(_wrong([(task, one) for task, one in declarations() if task.backend in ours]))
    told = [f"{sentence} It is not stored; {REMEDY}" for _, sentence in found[:TOLD_AT_START]]
    if len(found) > TOLD_AT_START:
        told.append(f"{len(found) - TOLD_AT_START} more schedules are wrong: manage.py check names them")
    return told


def _wrong(declared: list[tuple[Task, Declaration]]) -> Iterator[tuple[Task, str]]:
    """Each that will not be stored, and a sentence that says why."""
    names = Counter(_key(task, one) for task, one in declared)
    for task, one in declared:
        found = list(faults_of(task, one))
        if names[_key(task, one)] > 1:
            found.append("name: another schedule of the code bears it; say name=… in one of them.")
        if found:
            yield task, f"The schedule {_key(task, one)[1]!r} of {_place(task)} is wrong: {' '.join(found)}"


def _key(task: Task, one: Declaration) -> tuple[str, str]:
    """What must be unique: its name, within a database."""
    return conf.database_alias(task.backend), one.name or task.module_path


def _place(task: Task) -> str:
    code = getattr(task.func, "__code__", None)
    return task.module_path if code is None else f"{task.module_path} ({code.co_filename}:{code.co_firstlineno})"


def faults_of(task: Task, one: Declaration) -> Iterator[str]:
    """What the declaration itself says wrongly, then how the rest of it fits its task: a sentence each."""
    from reproq_django.periodic_rules import faults
    from reproq_django.periodic_tasks import PeriodicTask
    from reproq_django.sync import columns_of

    yield from sentences(one.faults)
    try:
        row = PeriodicTask(**columns_of(task, one))
    except ImproperlyConfigured:  # checks.py says what is wrong with the backend
        return
    told = {field for field, _ in one.faults}
    yield from sentences((field, text) for field, text in faults(row) if field not in told)


def sentences(faults: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Fields and what is wrong with them, in words that can stand one after the other."""
    return (f"{field}: {text.rstrip('.')}." for field, text in faults)
