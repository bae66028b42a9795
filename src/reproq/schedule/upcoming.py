"""The list of moments that a periodic task keeps in its row: only Python can compute them, and SQL fires by them.

A list is whole from its first moment up to `computed_until`. What nobody fired within `ON_TIME` is missed; of missed
moments only those are listed that the catch-up policy makes up for, however long nobody looked.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from reproq.schedule.timing import CatchUp, Timing
from reproq.schedule.zones import HORIZON

AHEAD: Final = 50
"""Moments in the future that a list holds."""
ON_TIME: Final = timedelta(seconds=10)
"""How late a tick may be fired without counting as missed; `sql/periodic.sql` says the same."""
LONGEST_TRUST: Final = timedelta(days=1)
"""How long a list is believed: the rules of a zone may change with an update of the tz database."""
LOOKS_AHEAD: Final = timedelta(days=3653)
"""How far moments are looked for, beyond the first: fifty that come every 28 years would take a second."""
FIRST_LOOK: Final = timedelta(minutes=1)
LOOKS_FURTHER: Final = 4


@dataclass(frozen=True, slots=True)
class Refill:
    """What to write: `moments` take the place of all that the list holds later than `kept_until` (None: of all).
    `refill_at` is None when nothing will ever be added."""

    kept_until: datetime | None
    moments: tuple[datetime, ...]
    computed_until: datetime
    refill_at: datetime | None


def refill(timing: Timing, catch_up: CatchUp, bound: int, computed_until: datetime | None, now: datetime) -> Refill:
    """The list as it should be at `now`. One that was never computed begins now: nothing was missed."""
    kept_until = None if computed_until is None else min(computed_until, now)
    after = now if kept_until is None else kept_until
    overdue: list[datetime] = []
    edge = now - ON_TIME
    if after < edge:
        wanted = {CatchUp.NONE: 0, CatchUp.LATEST: 1, CatchUp.ALL: bound}[catch_up]
        overdue = _newest(timing, after, edge, wanted)
        after = edge
    listed: list[datetime] = []
    due = timing.due(after)
    late = list(_until(now, due, listed))
    whole_until = _fill(listed, due, now + LOOKS_AHEAD)
    refill_at = now + LONGEST_TRUST if listed else None
    if refill_at is not None and len(listed) == AHEAD:
        refill_at = min(listed[AHEAD // 2], refill_at)
    return Refill(kept_until, (*overdue, *late, *listed), whole_until, refill_at)


def _fill(listed: list[datetime], due: Iterator[datetime], far: datetime) -> datetime:
    """Add moments, none but the first later than `far`; up to when the list is whole then."""
    for moment in due:
        if listed and moment > far:
            return far
        listed.append(moment)
        if len(listed) == AHEAD:
            return moment
    return HORIZON


def _until(now: datetime, due: Iterator[datetime], later: list[datetime]) -> Iterator[datetime]:
    """The moments up to `now`; the first that is later goes into `later`."""
    for moment in due:
        if moment > now:
            later.append(moment)
            return
        yield moment


def _newest(timing: Timing, after: datetime, edge: datetime, wanted: int) -> list[datetime]:
    """The newest `wanted` moments later than `after`, up to `edge`: looked for further and further back, so that an
    outage of a year costs what one of an hour costs."""
    look = FIRST_LOOK
    while wanted:
        start = max(after, edge - look)
        found = deque(takewhile(lambda moment: moment <= edge, timing.due(start)), maxlen=wanted)
        if len(found) == wanted or start == after:
            return list(found)
        look *= LOOKS_FURTHER
    return []
