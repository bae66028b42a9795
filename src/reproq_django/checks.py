"""What can be wrong with one entry of TASKS, as system checks with hints. Nothing here raises, nothing connects."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Info, Warning  # noqa: A004 - Django's word
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from reproq.config import load
from reproq.errors import ConfigurationError
from reproq.queue_names import queue_name_fault
from reproq.retention import retention
from reproq.schedule.pgcron import Layout
from reproq_django.conf import (
    DEFAULT_DATABASE,
    SET_ELSEWHERE,
    known_keys,
    options_of,
    source_of,
)
from reproq_django.task_options import parse_option


def check_backend(alias: str, params: dict[str, Any]) -> list[CheckMessage]:
    """Everything that is wrong with one backend's settings and its surroundings."""
    if not apps.is_installed("reproq_django"):
        return [
            Error(
                f"TASKS[{alias!r}] uses Reproq, but its tables belong to an app that is not installed.",
                hint="Add 'reproq_django' to INSTALLED_APPS, and run: python manage.py migrate",
                id="reproq.E005",
            )
        ]
    return [*problems(alias, params), *_asked(alias, params)]


def _asked(alias: str, params: dict[str, Any]) -> Iterator[CheckMessage]:
    """What a project had better decide itself. No warning: it works, and `check --fail-level WARNING` passes."""
    if "retention" not in options_of(params):
        yield Info(
            f"TASKS[{alias!r}] does not say how long finished runs are kept: workers delete successful ones after "
            "30 days, failed and cancelled ones after 90.",
            hint="Choose: OPTIONS = {'RETENTION': '30d'}, {'RETENTION': {'successful': '30d', 'failed': '90d'}}, or "
            "{'RETENTION': 'off'} to keep everything.",
            id="reproq.I014",
        )


def problems(alias: str, params: dict[str, Any]) -> list[CheckMessage]:
    """Everything that is wrong with one backend's settings."""
    where = f"TASKS[{alias!r}]['OPTIONS']"
    found = list(_queues(alias, params.get("QUEUES")))
    if not isinstance(params.get("OPTIONS", {}), dict):
        return [*found, Error(f"{where} is no dict.", hint="Write {'MAX_ATTEMPTS': 3}.", id="reproq.E006")]
    options = options_of(params)
    found += _keys(where, params.get("OPTIONS", {}))
    found += _values(alias, params)
    found += _backoff(where, options.get("backoff"))
    found += _aliases(where, options.get("task_aliases"))
    found += _retention(where, options.get("retention", ""), params.get("QUEUES", ["default"]))
    found += _schedules(where, options)
    found += _database(where, options.get("database", DEFAULT_DATABASE))
    return found


def _keys(where: str, options: dict[Any, Any]) -> Iterator[CheckMessage]:
    known = known_keys()
    seen: dict[str, Any] = {}
    for key in options:
        name = str(key).lower()
        if name in SET_ELSEWHERE:
            yield Error(f"{where} cannot set {key!r}.", hint=f"Leave it out: {SET_ELSEWHERE[name]}.", id="reproq.E001")
        elif name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0].upper()!r}? " if near else ""
            yield Error(
                f"{where} has the unknown key {key!r}.",
                hint=f"{hint}The keys are {', '.join(sorted(name.upper() for name in known))}.",
                id="reproq.E001",
            )
        elif name in seen:
            yield Error(f"{where} says both {seen[name]!r} and {key!r}.", hint="Keep one.", id="reproq.E002")
        seen[name] = key


def _values(alias: str, params: dict[str, Any]) -> Iterator[CheckMessage]:
    try:
        load(source_of(alias, params))
    except ConfigurationError as error:
        for line in str(error).splitlines():
            yield Error(f"{line}.", hint="Correct the value, or leave it out for the default.", id="reproq.E002")


def _backoff(where: str, value: Any) -> Iterator[CheckMessage]:
    if value is not None:
        try:
            parse_option("backoff", value)
        except ValueError as error:
            yield Error(f"{where}: {error}.", hint="Write '5s', or a list of waits.", id="reproq.E002")


def _schedules(where: str, options: dict[str, Any]) -> Iterator[CheckMessage]:
    modules = options.get("task_modules", [])
    if not isinstance(modules, list | tuple) or not all(isinstance(name, str) for name in modules):
        hint = "Write ['shop.jobs'], the modules beside those called tasks."
        yield Error(f"{where}['TASK_MODULES'] is {modules!r}, no list of module names.", hint=hint, id="reproq.E002")
    if not isinstance(options.get("sync_schedules", True), bool):
        hint = "Write False to leave schedules alone when migrating."
        yield Error(f"{where}['SYNC_SCHEDULES'] is neither True nor False.", hint=hint, id="reproq.E002")
    if "pgcron" in options and options["pgcron"] not in list(Layout):
        hint = f"Write one of {', '.join(Layout)}, or leave it out to leave pg_cron alone."
        yield Error(f"{where}['PGCRON'] is {options['pgcron']!r}, no layout.", hint=hint, id="reproq.E002")


def _aliases(where: str, value: Any) -> Iterator[CheckMessage]:
    if value is None:
        return
    hint = "Write {'shop.tasks.old_name': 'shop.tasks.new_name'}."
    if not isinstance(value, dict) or not all(isinstance(path, str) for pair in value.items() for path in pair):
        yield Error(f"{where}['TASK_ALIASES'] is no dict of task paths.", hint=hint, id="reproq.E007")
        return
    for path in value:
        if path in _renames(path, value):
            yield Error(f"{where}['TASK_ALIASES'] leads from {path!r} back to it.", hint=hint, id="reproq.E007")


def _retention(where: str, value: Any, queues: Any) -> Iterator[CheckMessage]:
    try:
        named = [name for name, _ in retention(value).queues]
    except ValueError:  # _values says so
        return
    for name in named if isinstance(queues, list | tuple | set | frozenset) and queues else ():
        if name not in queues:
            near = get_close_matches(name, map(str, queues), 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            yield Error(
                f"{where}['RETENTION'] names the queue {name!r}, in which no task can be.",
                hint=f"{hint}QUEUES has {', '.join(map(str, queues))}: add it there, or take it out here.",
                id="reproq.E015",
            )


def _renames(path: str, renames: dict[str, str]) -> set[str]:
    met: set[str] = set()
    while path in renames and renames[path] not in met:
        path = renames[path]
        met.add(path)
    return met


def _database(where: str, alias: Any) -> Iterator[CheckMessage]:
    if alias not in list(connections):
        yield Error(
            f"{where}['DATABASE'] is {alias!r}, which DATABASES does not have.",
            hint=f"The aliases are {', '.join(sorted(connections))}.",
            id="reproq.E003",
        )
        return
    try:
        vendor = connections[alias].vendor
    except ImproperlyConfigured as error:
        yield Error(f"{where}['DATABASE'] is {alias!r}: {error}", hint="Correct DATABASES.", id="reproq.E003")
        return
    if vendor != "postgresql":  # a warning: tests of a project may well run on another database
        yield Warning(
            f"{where}['DATABASE'] is {alias!r}, a {vendor} database: no task can be enqueued there.",
            hint="Name a PostgreSQL alias; in tests, use the backends of reproq_django.testing.",
            id="reproq.W004",
        )


def _queues(alias: str, queues: Any) -> Iterator[CheckMessage]:
    where = f"TASKS[{alias!r}]['QUEUES']"
    if queues is None:
        return
    if not isinstance(queues, list | tuple | set | frozenset):
        yield Error(f"{where} is {queues!r}, no list.", hint="Write ['default'], or [] for any.", id="reproq.E008")
        return
    for name in queues:
        if fault := queue_name_fault(name):
            yield Error(f"{where} has {name!r}, which {fault}.", hint="Rename the queue.", id="reproq.E008")
