"""Imports a project for a command: whatever its settings or apps raise becomes one line with file, line and exception.

A traceback would hide that line, and a program that reads `--json` could not read it.
"""

import os
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Final

import django

from reproq.error_lines import error_line
from reproq.errors import ConfigurationError, ReproqError
from reproq.lifecycle import Kind

_OURS: Final = tuple(str(Path(found).resolve().parent) + os.sep for found in (django.__file__, __file__))
_PYTHONS: Final = sysconfig.get_path("stdlib") + os.sep
_INSTALLED: Final = tuple(sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib"))


def import_settings(module: str) -> None:
    """Import the settings that Django uses. Raises ConfigurationError, saying where they cannot be."""
    from django.conf import settings

    remedy = "correct --settings or DJANGO_SETTINGS_MODULE"
    with _in_one_line(f"the Django settings {module} cannot be used", module, remedy):
        settings.INSTALLED_APPS  # noqa: B018 - the first look at any of them imports all


def set_up() -> None:
    """Import the settings that were chosen, and the apps. Raises ConfigurationError, saying where one cannot be."""
    module = os.environ["DJANGO_SETTINGS_MODULE"]
    import_settings(module)
    with _in_one_line(f"the apps of the Django settings {module} cannot be imported", module, "correct INSTALLED_APPS"):
        django.setup()


@contextmanager
def _in_one_line(what: str, module: str, remedy: str) -> Iterator[None]:
    """`remedy` is for what is raised in no file of the project's."""
    try:
        yield
    except ReproqError:
        raise
    except Exception as error:
        kind = type(error)
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        said = error_line(Kind.EXCEPTION, f"{kind.__module__}.{kind.__qualname__}", text)
        place = _place(error)
        if place:
            said, remedy = f"{place}: {said}", f"mend it (its traceback: python -m django check --settings {module})"
        raise ConfigurationError(f"{what}: {said}; {remedy}") from error


def _place(error: Exception) -> str:
    """`FILE, line N`: the innermost line of the project's own, else of another package that is not Django; empty where
    there is none."""
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno or 1))
    named = [one for one in places if not one[0].startswith(("<", *_OURS))]
    installed = [one for one in named if one[0].startswith(_INSTALLED)]
    own = [one for one in named if not one[0].startswith((_PYTHONS, *_INSTALLED))]
    found = own or installed
    return f"{found[-1][0]}, line {found[-1][1]}" if found else ""
