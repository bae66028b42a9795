"""What can be wrong between several databases, as system checks with hints; one backend alone is for checks.py.

Only `check_tables` connects: Django calls it for `migrate` and for `check --database ALIAS`.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Final

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's word
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router

from reproq.config import Config, load
from reproq.errors import ConfigurationError
from reproq_django import conf
from reproq_django.reached import has_our_tables, is_recorded

ROUTER: Final = "reproq_django.routers.ReproqRouter"
INITIAL: Final = "0001_initial"
EXECUTION_KNOBS: Final = ("executor", "commands", "python_path")
"""What decides how a run is executed; in all else, workers may differ."""


def check_routing(**kwargs: Any) -> list[CheckMessage]:
    """Whether Django's routers leave our models where the backends are."""
    return [*_astray(), *_kept_away()]


def _astray() -> Iterator[CheckMessage]:
    from reproq_django.models import TaskRun

    ours = _postgresql_aliases()
    if ours and (asked := router.db_for_write(TaskRun)) not in conf.database_aliases():
        yield Warning(
            f"Reproq's tables are in the database {', '.join(map(repr, ours))}, but Django looks for its models in "
            f"{asked!r}: TaskRun.objects and dumpdata fail.",
            hint=f"Set DATABASE_ROUTERS = [{ROUTER!r}], before routers of your own.",
            id="reproq.W009",
        )


def _kept_away() -> Iterator[CheckMessage]:
    for alias in _postgresql_aliases():
        if not router.allow_migrate(alias, conf.APP, model_name="taskrun"):
            yield Error(
                f"A router keeps Reproq's tables off the database {alias!r}, which a backend of TASKS names.",
                hint=f"Put {ROUTER!r} first in DATABASE_ROUTERS, and run: "
                f"python manage.py migrate {conf.APP} --database {alias}",
                id="reproq.E010",
            )


def check_presence(**kwargs: Any) -> list[CheckMessage]:
    """Whether any backend is ours, or one of those for tests: the app alone enqueues nothing."""
    if conf.backend_aliases() or conf.has_backend_for_tests():
        return []
    return [
        Warning(
            "'reproq_django' is in INSTALLED_APPS, but no backend of TASKS is Reproq's: tasks run elsewhere, by "
            "default at once in the process that enqueues them.",
            hint=f"Set TASKS = {{'default': {{'BACKEND': {conf.BACKEND!r}}}}}.",
            id="reproq.W013",
        )
    ]


def check_sharing(**kwargs: Any) -> list[CheckMessage]:
    """Whether workers that would take each other's runs execute them differently."""
    found: list[CheckMessage] = []
    for one, other in combinations(conf.backend_aliases(), 2):
        database = conf.database_alias(one)
        if database != conf.database_alias(other):
            continue
        first, second = _config_of(one), _config_of(other)
        differing = [name.upper() for name in EXECUTION_KNOBS if getattr(first, name) != getattr(second, name)]
        if differing and _serve_a_common_queue(first, second):
            found.append(
                Warning(
                    f"TASKS[{one!r}] and TASKS[{other!r}] share the database {database!r} and serve a common queue, "
                    f"but differ in {', '.join(differing)}: the worker that claims a run executes it in its own way.",
                    hint="Give their workers different queues (OPTIONS['QUEUES']), or different databases.",
                    id="reproq.W011",
                )
            )
    return found


def _serve_a_common_queue(one: Config, other: Config) -> bool:
    if "*" in (*one.queues, *other.queues):
        left_out = {*one.exclude_queues, *other.exclude_queues}
        named = {*one.queues, *other.queues} - {"*"}
        return not named or bool(named - left_out)
    return bool(set(one.queues) & set(other.queues))


def check_tables(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Whether a database has our migration on record without our tables: it was migrated before TASKS named it."""
    return [_recorded_only(alias) for alias in _postgresql_aliases() if alias in (databases or ()) and _lacks(alias)]


def _lacks(alias: str) -> bool:
    return is_recorded(alias, INITIAL) and not has_our_tables(alias)


def _recorded_only(alias: str) -> CheckMessage:
    return Warning(
        f"The database {alias!r} was migrated before a backend of TASKS named it: the migration of {conf.APP} is on "
        "record there, but its tables do not exist.",
        hint=f"Run: python manage.py migrate {conf.APP} zero --fake --database {alias}, "
        f"then: python manage.py migrate {conf.APP} --database {alias}",
        id="reproq.W012",
    )


def _postgresql_aliases() -> list[str]:
    """Those of our databases that can hold our tables; checks.py says what is wrong with the others."""
    found = []
    for alias in sorted(conf.database_aliases() & set(connections)):
        try:
            vendor = connections[alias].vendor
        except ImproperlyConfigured:
            continue
        if vendor == "postgresql":
            found.append(alias)
    return found


def _config_of(backend: str) -> Config:
    try:
        return load(conf.options_source(backend))
    except ConfigurationError:  # checks.py says so
        return load()
