"""Shrinks a failing history: drops what it does not need, in ever smaller pieces, while it still fails. Pure."""

from collections.abc import Callable, Sequence
from typing import Final

MAX_TRIES: Final = 400
"""Histories that are played to shrink one."""


def shrink[T](events: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """The events that are left when without any one of them nothing fails, or when the tries are used up."""
    left, tries = tuple(events), 0
    size = max(1, len(left) // 2)
    while True:
        start, has_dropped = 0, False
        while start < len(left) and tries < MAX_TRIES:
            shorter = left[:start] + left[start + size :]
            tries += 1
            if fails(shorter):
                left, has_dropped = shorter, True
            else:
                start += size
        if tries >= MAX_TRIES or (size == 1 and not has_dropped):
            return left
        size = max(1, size // 2)
