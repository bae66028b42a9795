"""Finds what the code declares: the task modules of all installed apps are imported, whoever has imported them before.

A task module is `tasks` of an app, every module below it where that is a package, and whatever
OPTIONS["TASK_MODULES"] names.
"""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from django.apps import apps
from django.tasks import Task

from reproq.errors import ConfigurationError
from reproq_django import conf
from reproq_django.declared import ATTRIBUTE, Declaration


def declarations() -> Iterator[tuple[Task, Declaration]]:
    """Every Task that declares a schedule, with each of its declarations, once. Raises ConfigurationError, naming the
    module, where one cannot be imported."""
    met: set[int] = set()
    for name in module_names():
        for task in vars(_imported(name)).values():
            if isinstance(task, Task) and id(task.func) not in met:
                met.add(id(task.func))
                yield from ((task, one) for one in getattr(task.func, ATTRIBUTE, ()))


def module_names() -> list[str]:
    """The names of all task modules."""
    found = [name for app in apps.get_app_configs() for name in _below(f"{app.name}.tasks")]
    for backend in conf.backend_aliases():
        named = conf.options_of(conf.params_of(backend)).get("task_modules") or ()
        found += [str(name) for name in named]
    return list(dict.fromkeys(found))


def _below(name: str) -> Iterator[str]:
    spec = find_spec(name)
    if spec is None:
        return
    yield name
    for module in pkgutil.walk_packages(spec.submodule_search_locations or (), f"{name}."):
        yield module.name


def _imported(name: str) -> object:
    try:
        return import_module(name)
    except Exception as error:
        raise ConfigurationError(
            f"the task module {name} cannot be imported: {type(error).__name__}: {error}; mend it, and sync again"
        ) from error
