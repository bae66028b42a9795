"""Texts and arrays as PostgreSQL takes them: arrays as its own literals, so that the statement's cast gives their type.

psycopg types a list by its largest item (smallint[], integer[], …): one statement becomes several, and a generic plan
converts the whole array again for every row. It also takes five times as long.
"""

from collections import Counter
from collections.abc import Callable, Iterable


def numbers(values: Iterable[float | None]) -> str:
    """`{1,2.5,NULL,True}`: integers, floats, booleans and None."""
    return "{" + ",".join(["NULL" if value is None else repr(value) for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    r"""`{"a",NULL,"with \" and \\"}`: any text and None."""
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(text: str) -> str:
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if '"' in text:
        text = text.replace('"', '\\"')
    return f'"{text}"'


def storable(text: str) -> str:
    """`text` as PostgreSQL can hold it: U+0000 and lone surrogates become visible escapes."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def rounds[T](items: Iterable[T], run_id: Callable[[T], int]) -> list[list[T]]:
    """The items in the order of their runs, in rounds that hold no run twice: a statement finds one token for an id."""
    ordered = sorted(items, key=run_id)
    if len({run_id(item) for item in ordered}) == len(ordered):
        return [ordered] if ordered else []
    found: list[list[T]] = []
    times: Counter[int] = Counter()
    for item in ordered:
        nth = times[run_id(item)]
        if nth == len(found):
            found.append([])
        found[nth].append(item)
        times[run_id(item)] += 1
    return found
