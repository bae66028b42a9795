"""What is wrong with a database's schedules, as the project sees them: those that the code declares and nobody has
stored, and those that could not fire or not run. What a scheduler notices by itself is in `reproq.store.periodic`.
"""

from collections.abc import Iterator

from reproq.cli.project import Fault
from reproq.errors import ConfigurationError
from reproq_django import conf
from reproq_django.task_modules import declarations

SYNC = "reproq schedules sync"


def schedule_faults(backend: str) -> list[Fault]:
    """For `reproq doctor`. The database must have answered, and have our tables."""
    import django
    from django.apps import apps

    django.setup()
    if not apps.is_installed(conf.APP):  # a system check says so
        return []
    alias = conf.database_alias(backend)
    found = [Fault(text, f"correct it: reproq schedules edit {name}, or pause it") for name, text in cannot_run(alias)]
    names = not_stored(alias)
    return [*found, *([Fault(in_words(names), SYNC)] if names else [])]


def not_stored(alias: str) -> list[str]:
    """The schedules that sound declarations of the code name and the database lacks; none where a task module cannot be
    imported, which a system check says."""
    from reproq_django.periodic_tasks import PeriodicTask

    ours = [backend for backend in conf.backend_aliases() if conf.database_alias(backend) == alias]
    try:
        names = {
            one.name or task.module_path for task, one in declarations() if task.backend in ours and not one.faults
        }
    except ConfigurationError:
        return []
    stored = PeriodicTask.objects.using(alias).filter(name__in=names).values_list("name", flat=True)
    return sorted(names - set(stored))


def in_words(names: list[str]) -> str:
    """How many are declared and not stored, and which."""
    verb = "is" if len(names) == 1 else "are"
    return f"{len(names)} {verb} declared in the code and not stored ({', '.join(names)})"


def cannot_run(alias: str, *, enabled_only: bool = True) -> Iterator[tuple[str, str]]:
    """Name and sentence of each thing that is wrong with a stored schedule."""
    from reproq_django.periodic_rules import faults
    from reproq_django.periodic_tasks import PeriodicTask

    rows = PeriodicTask.objects.using(alias).order_by("name")
    for job in (rows.filter(enabled=True) if enabled_only else rows).iterator():
        yield from ((job.name, f"{job.name}: {field}: {text}") for field, text in faults(job))
