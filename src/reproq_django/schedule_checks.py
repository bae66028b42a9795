"""What is wrong with the schedules that the code declares, as system checks: everything at once, and before anything is
stored. It imports the task modules, as a worker does, and asks no database.
"""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's word
from django.core.exceptions import ImproperlyConfigured
from django.tasks import Task

from reproq.errors import ConfigurationError
from reproq_django import conf
from reproq_django.declared import Declaration
from reproq_django.task_modules import declarations


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
        Error(
            f"The schedule {one.name or task.module_path!r} of {_place(task)} is wrong: {' '.join(found)}",
            hint="Correct @periodic, and run: reproq schedules sync",
            obj=task.module_path,
            id="reproq.E016",
        )
        for task, one in declared
        if (found := list(_faults(task, one)))
    ]


def _place(task: Task) -> str:
    code = getattr(task.func, "__code__", None)
    return task.module_path if code is None else f"{task.module_path} ({code.co_filename}:{code.co_firstlineno})"


def _faults(task: Task, one: Declaration) -> Iterator[str]:
    """What the declaration itself says wrongly, then how the rest of it fits its task."""
    from reproq_django.periodic_rules import faults
    from reproq_django.periodic_tasks import PeriodicTask
    from reproq_django.sync import columns_of

    yield from (f"{field}: {text.rstrip('.')}." for field, text in one.faults)
    try:
        row = PeriodicTask(**columns_of(task, one))
    except ImproperlyConfigured:  # checks.py says what is wrong with the backend
        return
    told = {field for field, _ in one.faults}
    yield from (f"{field}: {text.rstrip('.')}." for field, text in faults(row) if field not in told)
