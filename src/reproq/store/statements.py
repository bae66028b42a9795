"""Reads the SQL files and names what a cursor must offer: Django's and psycopg's both do."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Protocol


class Cursor(Protocol):
    """A cursor in its caller's transaction. Store functions never commit."""

    def execute(self, query: Any, params: Any = None, /) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def fetchone(self) -> Any: ...


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql` without the sentence on top."""
    text = (files("reproq.store") / "sql" / f"{name}.sql").read_text("utf-8")
    lines = text.splitlines()
    while lines and lines[0].startswith("--"):
        lines.pop(0)
    return "\n".join(lines)


@cache
def sent(text: str) -> str:
    """A statement as it travels: without comments and indentation. Then psycopg, which reads the placeholders of a text
    of over 4,096 bytes anew at each call (0.1 ms), remembers even the longest."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--"))


def execute(cursor: Cursor, name: str, params: Mapping[str, Any]) -> None:
    """Run one statement that answers nothing."""
    cursor.execute(sent(statement(name)), params)


def fetch_all(cursor: Cursor, name: str, params: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
    """Run one statement and return its rows."""
    cursor.execute(sent(statement(name)), params)
    return cursor.fetchall()


def fetch_one(cursor: Cursor, name: str, params: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Run one statement and return its first row, None when there is none."""
    cursor.execute(sent(statement(name)), params)
    row: tuple[Any, ...] | None = cursor.fetchone()
    return row
