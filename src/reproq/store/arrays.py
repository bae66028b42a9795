"""Texts and arrays as PostgreSQL takes them: arrays as its own literals, so that the statement's cast gives their type.

psycopg types a list by its largest item (smallint[], integer[], …): one statement becomes several, and a generic plan
converts the whole array again for every row. It also takes five times as long.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

_MARK: Final = "\0"
"""Between texts that are escaped together, in a third of the time: no text that PostgreSQL can store holds it."""


def numbers(values: Iterable[float | None]) -> str:
    """`{1, 2.5, NULL, True}`: integers, floats, booleans and None."""
    return "{" + repr(list(values))[1:-1].replace("None", "NULL") + "}"


def texts(values: Iterable[str | None]) -> str:
    r"""`{"a",NULL,"with \" and \\"}`: any text and None."""
    given = list(values)
    if given and None not in given:
        together = _MARK.join(given)  # type: ignore[arg-type]
        if together.count(_MARK) == len(given) - 1:  # no text holds the mark itself
            return '{"' + _escaped(together).replace(_MARK, '","') + '"}'
    return "{" + ",".join(["NULL" if text is None else f'"{_escaped(text)}"' for text in given]) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


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
