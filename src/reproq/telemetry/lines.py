"""Log lines: `run.rescued id=41 attempt=2 of=3 worker=w-7 retry_in=8s`, on the logger `reproq`."""

import json
import logging
import sys
import time
from contextlib import suppress
from typing import Final

from reproq.telemetry.catalogue import CATALOGUE
from reproq.telemetry.events import Event, Field, Handler

LEVELS: Final = {name: known.level for name, known in CATALOGUE.items()}

_LEVEL_NAMES: Final = {level: f"{logging.getLevelName(level):7}" for level in LEVELS.values()}
MOST_KEPT: Final = 1000
"""Lines that are kept for one write."""

logger = logging.getLogger("reproq")


def unheard() -> frozenset[str]:
    """The events that `log_event` would drop: the logger's level is above theirs."""
    return frozenset(name for name, level in LEVELS.items() if not logger.isEnabledFor(level))


def log_event(event: Event) -> None:
    """Write one event as one line."""
    level = LEVELS.get(event.name, logging.INFO)
    if logger.isEnabledFor(level):
        logger.log(level, "%s", line(event))


def line(event: Event) -> str:
    """The event as text. Values with spaces or control characters are quoted, so that one event stays one line."""
    text = event.name
    for name, value in event.fields.items():
        text += f" {name}={value if type(value) is int else _shown(value)}"
    return text


def _shown(value: Field) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    if text and text.isprintable() and " " not in text and "=" not in text and '"' not in text:  # any() is dearer
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


class StderrLines:
    """Writes events as the logger would, at a fraction of its cost: a line is written for each of thousands of runs a
    second. For where nobody has configured the logger."""

    def __init__(self) -> None:
        self._kept: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Keep one event, until `flush`."""
        self._kept.append(event)
        if len(self._kept) >= MOST_KEPT:
            self.flush()

    def flush(self) -> None:
        """Write the events as lines, all of them at once, with the time at which that is done.

        Where nobody can take them (a full disk, a reader that is gone) they are lost: no run shall end for that."""
        if not self._kept:
            return
        events, self._kept = self._kept, []
        now_s = time.time()
        stamp = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now_s))},{int(now_s % 1 * 1000):03}"
        shown = {level: f"{stamp} {name} " for level, name in _LEVEL_NAMES.items() if logger.isEnabledFor(level)}
        openings = [shown.get(LEVELS.get(event.name, logging.INFO)) for event in events]
        lines = [f"{opening}{line(event)}\n" for opening, event in zip(openings, events, strict=True) if opening]
        with suppress(OSError):
            sys.stderr.write("".join(lines))


def log_now(event: Event) -> None:
    """Write one event at once, as `log_to_stderr` would show it: for who waits before there is any telemetry."""
    if logger.handlers:
        log_event(event)
        return
    lines = StderrLines()
    lines(event)
    lines.flush()


def log_to_stderr(verbose: bool = False) -> Handler:
    """Show the lines on stderr, with the time in front; a project that configured the logger keeps its handlers.

    Returns what writes events.
    """
    if logger.handlers:
        return log_event
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False
    return StderrLines()
