"""How commands show things: rich for people, JSON for machines."""

import json
import os
import sys
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

import click

from reproq.cli import AS_JSON
from reproq.values import lasting

if TYPE_CHECKING:
    from rich.console import Console


PIPED_WIDTH: Final = 160
"""Columns of a table that no terminal bounds."""


def console() -> "Console":
    """Standard output, with colours where it is a terminal. Texts are never read as markup."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(markup=False, highlight=False, emoji=False, width=width)


def when(moment: datetime | None) -> str:
    """A moment in the local zone, to the second, with its offset; empty when there is none."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def when_short(moment: datetime | None, zone: tzinfo | None = None) -> str:
    """The same for a list: the time of today, or the day and the minute; in a zone that the list names beside it."""
    if moment is None:
        return ""
    local, today = moment.astimezone(zone), datetime.now().astimezone(zone).date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%m-%d %H:%M")


def unseen(seconds: float | None) -> str:
    """For how long a schedule has been overdue."""
    if seconds is None:
        return "was changed, and nobody has looked at it since"
    return f"has been due for {lasting(seconds)}"


def json_option(help_text: str = "For machines.") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--json`, as `as_json`. Why there is no answer is JSON then, too (see `cli.LazyGroup.invoke`)."""
    return click.option("--json", "as_json", is_flag=True, help=help_text, callback=_noted)


def _noted(context: click.Context, option: click.Parameter, value: bool) -> bool:
    context.meta[AS_JSON] = value
    return value


def as_json_text(value: Any) -> str:
    """One line of JSON; moments in ISO 8601 with their offset."""
    return json.dumps(value, default=lambda moment: moment.isoformat())


def visible(text: str) -> str:
    """`text` with control characters as visible escapes: what a task printed must not move the terminal's cursor."""
    return "".join(mark if mark.isprintable() or mark in "\n\t" else ascii(mark)[1:-1] for mark in text)
