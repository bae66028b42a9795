"""How commands show things: rich for people, JSON for machines."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def console() -> "Console":
    """Standard output, with colours where it is a terminal. Texts are never read as markup."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False, soft_wrap=False)


def when(moment: datetime | None) -> str:
    """A moment in the local zone, to the second; empty when there is none."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def as_json_text(value: Any) -> str:
    """One line of JSON; moments in ISO 8601 with their offset."""
    return json.dumps(value, default=lambda moment: moment.isoformat())
