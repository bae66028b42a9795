"""What is told of a traceback in a log: its end, and the project's own line that led there, however far above it is.

It knows paths only; the code need not be there any more.
"""

from pathlib import Path
from typing import Final

LAST_LINES: Final = 12
OURS: Final = str(Path(__file__).parents[1])
FOREIGN: Final = ("<frozen ", "/site-packages/", "/lib/python", f"{OURS}/", f"{OURS}_django/")
"""Marks of frames that nobody who reads the log has written."""


def last_words(text: str) -> str:
    """The last lines of a text. Of a traceback, the project's innermost frame goes before them where they lack it."""
    lines = text.strip().splitlines()
    start = max(0, len(lines) - LAST_LINES)
    frames = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    own = [number for number in frames if not any(mark in lines[number] for mark in FOREIGN)]
    if not own or own[-1] >= start:
        return "\n".join(lines[start:])
    end = min([start, *(number for number in frames if number > own[-1])])
    return "\n".join([*lines[own[-1] : end], "  …", *lines[start:]])
