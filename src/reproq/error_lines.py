"""How an error is told in one line: in the worker's log, in lists of runs, by who waits for a run, in the admin.

What is too long for a line is cut, and says so; `reproq runs show` has all that is stored.
"""

from typing import Final

from reproq.lifecycle import EXCEPTION_CLASSES, Kind

MAX_CHARS: Final = 300
"""Characters of a message in one line: a log, and who reads it, may get thousands of such lines."""


def error_line(kind: str | None, exception_class: str | None, message: str | None, limit: int = MAX_CHARS) -> str:
    """`KeyError: 'customer'`, or `timeout: …`: the kind comes first unless it says no more than the class does."""
    said = error_text(kind, exception_class, message, limit)
    return said if said and kind == Kind.EXCEPTION else ": ".join(filter(None, (kind, said)))


def error_text(kind: str | None, exception_class: str | None, message: str | None, limit: int = MAX_CHARS) -> str:
    """The same without the kind, for who tells that beside it. A class that only stands for the kind is left out."""
    stands_for_kind = kind in EXCEPTION_CLASSES and exception_class == EXCEPTION_CLASSES[Kind(kind)]
    name = "" if stands_for_kind else (exception_class or "").removeprefix("builtins.")
    return ": ".join(filter(None, (name, shortened(message or "", limit))))


def shortened(text: str, limit: int = MAX_CHARS) -> str:
    """A text on one line; where more than `limit` characters are left of it, how many are left out stands behind."""
    short = " ".join(text[:limit].split())
    return short if len(text) <= limit else f"{short}… ({len(text) - limit:,} more characters)"
