"""The face: Django's Tasks backend, the tables, the commands that need a project. Tasks import `options` from here."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reproq_django.task_options import options

__all__ = ["options"]


def __getattr__(name: str) -> Any:
    """`reproq_django.options`, loaded when a task asks for it: importing this package alone imports no Django."""
    if name == "options":
        from reproq_django.task_options import options

        return options
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
