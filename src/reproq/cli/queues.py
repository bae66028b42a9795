"""Queues that somebody names, against those that tasks of the project can be in: a slip of the hand is told.

It refuses to know where a name stands, and what is to happen because of it.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

ALL: Final = "*"


def outside(names: Iterable[str], allowed: tuple[str, ...]) -> list[str]:
    """Those of the names in which no task can be; none where any queue is allowed, which is what no name stands for."""
    return [name for name in names if allowed and name != ALL and name not in allowed]


def told(name: str, allowed: tuple[str, ...]) -> str:
    """Such a name, in words: what QUEUES has, and what was probably meant."""
    near = get_close_matches(name, allowed, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"the queue {name!r}, in which no task can be: QUEUES has {', '.join(allowed)}{hint}"
