"""The face: Django's Tasks backend, the tables, the commands that need a project. Tasks import `options` and
`periodic` from here."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reproq_django.declared import periodic
    from reproq_django.task_options import options

__all__ = ["options", "periodic"]


def __getattr__(name: str) -> Any:
    """`reproq_django.options` and `periodic`, loaded when a task asks for them: importing this package alone imports no
    Django."""
    if name == "options":
        from reproq_django.task_options import options

        return options
    if name == "periodic":
        from reproq_django.declared import periodic

        return periodic
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
