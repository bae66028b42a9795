"""From a stored task path to the Task it names: one rule, for results and for the child that runs it."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.tasks import Task
from django.tasks.exceptions import InvalidTask

from reproq.errors import UnknownTask

MAX_RENAMES = 100


def find_task(path: str, aliases: Mapping[str, str], asker: str = "the run") -> Task:
    """The Task whose module path is exactly `path`, or what TASK_ALIASES says has become of it.

    Raises UnknownTask, with what to do, for anything else. `asker` is who names the task, in the message; no single
    run where that is stored, as one message is stored for every run of the task.
    """
    current = _renamed(path, aliases)
    told = repr(current) if current == path else f"{path!r} (TASK_ALIASES: {current!r})"
    found = _imported(current, f"{asker} names the task {told}")
    if not isinstance(found, Task):
        raise UnknownTask(
            f"{asker} names the task {told}, which is a {type(found).__name__}, not a Task; decorate it with @task, "
            f"or map the old path to the new one in TASK_ALIASES"
        )
    if found.module_path != current:
        raise UnknownTask(
            f"{asker} names the task {told}, which is found there but lives at {found.module_path!r}; "
            f"add {{{path!r}: {found.module_path!r}}} to TASK_ALIASES"
        )
    return found


def _renamed(path: str, aliases: Mapping[str, str]) -> str:
    for _ in range(MAX_RENAMES):  # a circle of names ends here, and is not found
        if path not in aliases:
            break
        path = aliases[path]
    return path


def _imported(path: str, sentence: str) -> Any:
    module_path, _, name = path.rpartition(".")
    remedy = "deploy the code that has it, or map the old path to the new one in TASK_ALIASES"
    if not module_path:
        raise UnknownTask(f"{sentence}, which is no dotted path such as shop.tasks.send_receipt; {remedy}")
    try:
        module = import_module(module_path)
    except (InvalidTask, ImproperlyConfigured) as error:
        raise UnknownTask(
            f"{sentence}, but importing {module_path!r} raised {type(error).__name__}: {error}"
        ) from error
    except (Exception, SystemExit) as error:
        raise UnknownTask(
            f"{sentence}, but importing {module_path!r} raised {type(error).__name__}: {error}; {remedy}"
        ) from error
    try:
        return getattr(module, name)
    except AttributeError:
        tasks = [known for known, value in vars(module).items() if isinstance(value, Task)]
        near = get_close_matches(name, tasks, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise UnknownTask(f"{sentence}, but {module_path!r} has no {name!r}{hint}; {remedy}") from None
