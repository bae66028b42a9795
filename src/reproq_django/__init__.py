"""The face: Django's Tasks backend, the tables, the admin, the commands that need a project.

`reproq_django.options` is the decorator of `task_options.py`, found when it is asked for: settings import this package.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "options":
        from reproq_django.task_options import options

        return options
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
