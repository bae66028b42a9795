"""What the engine's command line asks of a Django project: its settings, its database, what the template imports.

A project is found by `--settings`, by DJANGO_SETTINGS_MODULE, or by the manage.py of the working folder.
"""

import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import conninfo

from reproq.cli.project import Fault, Project
from reproq.errors import ConfigurationError, DatabaseUnavailable, MissingGrant, NotPostgreSQL
from reproq_django.embedded import ensure_running, is_at_rest, is_led_to
from reproq_django.imported import import_settings, set_up

SETUP: Final = "reproq_django.rehearsed:setup"
SETUP_FOR_MANY: Final = "reproq_django.many_runs:setup"
MODULE: Final = "reproq_django.executor"
_MANAGE_DEFAULT: Final = re.compile(r"""DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""")


def find(backend: str, settings_module: str | None, starts: bool, given: str = "") -> Project | None:
    """The project around us, or None; `starts` its database, where it is an embedded one, unless the address that is
    `given` leads elsewhere.

    Raises ConfigurationError for a project that cannot be used, with the reason.
    """
    module = choose_settings(settings_module)
    return _read(backend, module, starts, given) if module else None


def choose_settings(settings_module: str | None) -> str | None:
    """The settings module that Django will use from here on, None when there is none to be found."""
    module = settings_module or os.environ.get("DJANGO_SETTINGS_MODULE") or _of_manage_py()
    if module:
        os.environ["DJANGO_SETTINGS_MODULE"] = module  # the template's processes import the same project
        here = os.getcwd()
        if here not in sys.path:
            sys.path.insert(0, here)  # as manage.py does; `reproq` is a program elsewhere
    return module


def _of_manage_py() -> str | None:
    try:
        found = _MANAGE_DEFAULT.search(Path("manage.py").read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found[1] if found else None


def _read(backend: str, module: str, starts: bool, given: str) -> Project:
    from django.core.exceptions import ImproperlyConfigured
    from django.db import connections
    from django.utils.connection import ConnectionDoesNotExist

    from reproq_django import conf

    import_settings(module)
    try:
        _refuse_what_is_not_ours(backend)
        source = conf.options_source(backend)
        database = conf.database_alias(backend)
        dsn = database_address(database, starts, given)
        at_rest = is_at_rest(connections[database].settings_dict)
    except (ImportError, ImproperlyConfigured, ConnectionDoesNotExist) as error:
        raise ConfigurationError(
            f"the Django settings {module} cannot be used: {error}; correct --settings or DJANGO_SETTINGS_MODULE"
        ) from error
    path = (_root_of(module),)
    queues = (conf.queue_names(backend), conf.queue_names_in(backend))
    about = (conf.migrate_command(database), faults, lambda: _schedule_faults(backend))
    return Project(
        source, dsn, SETUP, SETUP_FOR_MANY, MODULE, path, *queues, *about, at_rest, partial(_task_fault, backend)
    )


def faults() -> list[Fault]:
    """What Django's system checks say of Reproq's settings."""
    import django.tasks  # noqa: F401  registers the checks of TASKS, which our app does only where it is installed
    from django.core import checks

    set_up()
    ours = (message for message in checks.run_checks() if str(message.id).startswith("reproq."))
    found = (message for message in ours if message.level > checks.INFO)
    return [Fault(f"{message.id}: {message.msg}", message.hint or "") for message in found]


def _task_fault(backend: str, path: str, args: Sequence[Any], asker: str) -> str:
    set_up()
    from reproq_django.task_faults import task_fault

    return task_fault(backend, path, args, asker)


def _schedule_faults(backend: str) -> list[Fault]:
    from django.db import ProgrammingError

    from reproq_django.schedule_health import schedule_faults

    try:
        return schedule_faults(backend)
    except ProgrammingError as error:
        cause = error.__cause__
        if not isinstance(cause, psycopg.errors.InsufficientPrivilege):
            raise
        raise MissingGrant(f"the role of DATABASES lacks a right: {cause.diag.message_primary}") from error


def _refuse_what_is_not_ours(backend: str) -> None:
    """Another backend's alias, or none, would mean the default database in silence."""
    from reproq_django import conf

    ours = conf.backend_aliases()
    if backend in ours or (conf.is_alias(backend) and not ours):  # no backend is ours under test settings, say
        return
    found = "has no backend" if not conf.is_alias(backend) else "has another kind of backend as"
    names = ", ".join(map(repr, ours)) or "none"
    raise ConfigurationError(f"TASKS {found} {backend!r} (those of Reproq: {names}); choose by --backend")


def _root_of(settings_module: str) -> str:
    """The folder that the settings were imported from; manage.py may have been called from another one."""
    location = Path(str(import_module(settings_module).__file__)).resolve()
    return str(location.parents[settings_module.count(".") + (location.name == "__init__.py")])


def database_address(alias: str, starts: bool, given: str = "") -> str:
    """The address that Django uses for one alias, as libpq reads it: every value quoted, never pasted into a URL. That
    of an embedded server is known for sure once it runs; where another address is `given`, none is started for it."""
    from django.db import connections

    connection = connections[alias]
    if connection.vendor != "postgresql":
        raise NotPostgreSQL(
            f"DATABASES[{alias!r}] is {connection.vendor}; Reproq needs PostgreSQL, name another alias in "
            'TASKS[…]["OPTIONS"]["DATABASE"]'
        )
    try:
        if starts and (not given or is_led_to(connection.settings_dict, host_of(given))):
            # A worker becomes a sub-reaper later, and must not adopt the server.
            ensure_running(connection.settings_dict)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"the database of DATABASES[{alias!r}] cannot be reached: {error}") from error
    parameters = {name: value for name, value in connection.get_connection_params().items() if name not in _DJANGO_ONLY}
    return conninfo.make_conninfo("", **parameters)


def host_of(dsn: str) -> str:
    """The host of an address, nothing where it names none or cannot be parsed."""
    try:
        return str(conninfo.conninfo_to_dict(dsn).get("host") or "")
    except psycopg.ProgrammingError:  # whoever connects says so, without its password
        return ""


_DJANGO_ONLY: Final = {"cursor_factory", "context", "prepare_threshold", "autocommit", "row_factory"}
"""What Django passes to psycopg beside libpq's own parameters."""
