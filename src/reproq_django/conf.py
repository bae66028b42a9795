"""Reads Django's settings for the engine: which aliases are ours, which database they name, which options they set.

It never raises for a setting that cannot work: a system check reports that (checks.py), and enqueue refuses.
"""

from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from reproq.config import KNOBS, Source

BACKEND: Final = "reproq_django.backend.ReproqBackend"
APP: Final = "reproq_django"
DEFAULT_DATABASE: Final = "default"
OWN_KEYS: Final = ("database", "task_aliases", "backoff", "task_modules", "sync_schedules", "pgcron")
"""What OPTIONS may hold besides the engine's knobs."""

SET_ELSEWHERE: Final = {"dsn": "name an alias of DATABASES in DATABASE", "backend": "it is the alias itself"}
"""Knobs that OPTIONS cannot set, and what to do instead."""


def known_keys() -> list[str]:
    """The keys of OPTIONS, in small letters."""
    return [*OWN_KEYS, *(name for name in KNOBS if name not in SET_ELSEWHERE)]


def backend_aliases() -> list[str]:
    """The `TASKS` aliases whose backend is ours (or a subclass of it)."""
    return [alias for alias, params in _tasks().items() if _is_ours(params.get("BACKEND", ""))]


def has_backend_for_tests() -> bool:
    """Whether `TASKS` names a backend of `reproq_django.testing`."""
    return any(str(params.get("BACKEND", "")).startswith("reproq_django.testing.") for params in _tasks().values())


def queue_names(backend: str) -> tuple[str, ...]:
    """The queues that tasks of one `TASKS` alias may be in, as Django reads `QUEUES`; none for any."""
    queues = _tasks().get(backend, {}).get("QUEUES", ["default"])
    return tuple(map(str, queues)) if isinstance(queues, list | tuple | set | frozenset) else ()


def queue_names_in(backend: str) -> tuple[str, ...]:
    """The queues of all our backends on the database of this one; none for any."""
    ours = [alias for alias in backend_aliases() if database_alias(alias) == database_alias(backend)] or [backend]
    found = [queue_names(alias) for alias in ours]
    return tuple(dict.fromkeys(name for names in found for name in names)) if all(found) else ()


def is_alias(backend: str) -> bool:
    """Whether `TASKS` has this alias, whosever backend it is."""
    return backend in _tasks()


def first_backend() -> str:
    """The `TASKS` alias that stands for all where nobody chose: the first that is ours, `default` when none is."""
    return next(iter(backend_aliases()), "default")


def params_of(backend: str) -> dict[str, Any]:
    """The entry of one `TASKS` alias; empty where there is none."""
    return _tasks().get(backend, {})


def database_aliases() -> set[str]:
    """The database aliases that our backends name; `default` when no backend is ours (under test settings, say)."""
    return {database_alias(alias) for alias in backend_aliases()} or {DEFAULT_DATABASE}


def database_alias(backend: str) -> str:
    """The database alias of one `TASKS` alias: `OPTIONS["DATABASE"]`, else `default`."""
    return str(options_of(_tasks().get(backend, {})).get("database", DEFAULT_DATABASE))


def options_source(backend: str) -> Source:
    """What one `TASKS` alias sets for the engine, unknown keys included: `reproq.config.load` refuses those."""
    params = _tasks().get(backend, {})
    return _source(backend, params, {name: value for name, value in options_of(params).items() if name not in OWN_KEYS})


def source_of(backend: str, params: dict[str, Any]) -> Source:
    """The engine's knobs that one backend's settings set; unknown keys are left out (a system check names them)."""
    known = [name for name in known_keys() if name not in OWN_KEYS]
    return _source(backend, params, {name: value for name, value in options_of(params).items() if name in known})


def _source(backend: str, params: dict[str, Any], values: dict[str, Any]) -> Source:
    where = f"TASKS[{backend!r}]['OPTIONS']"
    given = params.get("OPTIONS")
    written = given if isinstance(given, dict) else {}
    return Source(where, values, {str(key).lower(): f"{where}[{key!r}]" for key in written})


def options_of(params: dict[str, Any]) -> dict[str, Any]:
    """The OPTIONS of a backend, keys in small letters; none where they are no dict."""
    options = params.get("OPTIONS", {})
    return {str(key).lower(): value for key, value in options.items()} if isinstance(options, dict) else {}


def migrate_command(database: str) -> str:
    """What makes our tables there; Django knows the name of our app only where the project has installed it."""
    command = f"python manage.py migrate {APP} --database {database}"
    installed = any(name == APP or name.startswith(f"{APP}.apps.") for name in settings.INSTALLED_APPS)
    return command if installed else f'{command} (first add "{APP}" to INSTALLED_APPS, which lacks it)'


def _tasks() -> dict[str, dict[str, Any]]:
    return getattr(settings, "TASKS", {})


def _is_ours(path: str) -> bool:
    """Whether a backend keeps its runs in our tables; it says so itself, so that this room need not import it."""
    if path == BACKEND:
        return True
    try:
        return getattr(import_string(path), "keeps_runs_in_our_tables", False) is True
    except (ImportError, ImproperlyConfigured):
        return False
