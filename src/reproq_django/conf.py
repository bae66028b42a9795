"""Reads Django's settings for the engine: which aliases are ours, which database they name, which options they set."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

DEFAULT_DATABASE = "default"


def backend_aliases() -> list[str]:
    """The `TASKS` aliases whose backend is ours (or a subclass of it)."""
    return [alias for alias, params in _tasks().items() if _is_ours(params.get("BACKEND", ""))]


def database_aliases() -> set[str]:
    """The database aliases that our backends name; `default` when no backend is ours (under test settings, say)."""
    return {database_alias(alias) for alias in backend_aliases()} or {DEFAULT_DATABASE}


def database_alias(backend: str) -> str:
    """The database alias of one `TASKS` alias: `OPTIONS["DATABASE"]`, else `default`."""
    options = _tasks().get(backend, {}).get("OPTIONS", {})
    return str(options.get("DATABASE", DEFAULT_DATABASE))


DJANGO_ONLY_OPTIONS = ("DATABASE", "TASK_ALIASES")


def knob_options(backend: str) -> dict[str, Any]:
    """The engine's knobs that one `TASKS` alias sets in its OPTIONS, by the knobs' names."""
    options = _tasks().get(backend, {}).get("OPTIONS", {})
    return {name.lower(): value for name, value in options.items() if name.upper() not in DJANGO_ONLY_OPTIONS}


def _tasks() -> dict[str, dict[str, Any]]:
    return getattr(settings, "TASKS", {})


def _is_ours(path: str) -> bool:
    if path == "reproq_django.backend.ReproqBackend":
        return True
    try:
        backend_class = import_string(path)
    except (ImportError, ImproperlyConfigured):
        return False
    from reproq_django.backend import ReproqBackend

    return isinstance(backend_class, type) and issubclass(backend_class, ReproqBackend)
