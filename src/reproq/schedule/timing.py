"""All that decides when one periodic task is due, as a value; and what is wrong with the texts that say so."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import islice, pairwise
from typing import Final

from reproq.errors import InvalidSchedule
from reproq.schedule.expression import LEAP_YEAR, Expression, parse
from reproq.schedule.zones import EARLIEST, HORIZON, moments, zone_named
from reproq.values import outside

LOOKED_AT: Final = 100
"""Moments whose distances are looked at to tell how short the period is."""
MAX_BOUND: Final = 1000
"""The most missed ticks that a periodic task may want to make up for: all of them are in one row."""
MAX_JITTER_SECONDS: Final = 86_400.0
JUST_BEFORE: Final = timedelta(microseconds=1)


class Overlap(StrEnum):
    """What becomes of a tick while the run of an earlier one has not finished."""

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE_ONE = "queue_one"


class CatchUp(StrEnum):
    """Which of the ticks that nobody fired in time are made up for."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What people write about when a periodic task is due: the columns of its row."""

    name: str
    cron_expr: str
    time_zone: str = "UTC"
    jitter_seconds: float = 0.0
    start_at: datetime | None = None
    end_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """The same, understood. Every tick comes `offset` later than the expression says."""

    expression: Expression
    zone: tzinfo
    offset: timedelta = timedelta()
    start_at: datetime | None = None
    end_at: datetime | None = None

    def due(self, after: datetime) -> Iterator[datetime]:
        """The moments later than `after` at which it is due, in order, in UTC. `start_at` and `end_at` belong to what
        they enclose, and bound what the expression says, before the offset."""
        since = after - self.offset
        if self.start_at is not None:
            since = max(since, self.start_at - JUST_BEFORE)
        for moment in moments(self.expression, self.zone, since):
            if self.end_at is not None and moment > self.end_at:
                return
            yield moment + self.offset


def understood(written: Written) -> Timing:
    """Raises InvalidSchedule for the first thing that is wrong."""
    for fault in faults(written):
        raise fault
    expression, zone = parse(written.cron_expr), zone_named(written.time_zone)
    return Timing(expression, zone, offset_of(written), written.start_at, written.end_at)


def offset_of(written: Written) -> timedelta:
    """How much later than its expression a periodic task is due: drawn from its name, so that those of one expression
    spread over the jitter, and each always comes at the same time. In whole milliseconds, less than the jitter."""
    share = zlib.crc32(written.name.encode("utf-8", "surrogatepass"))
    return timedelta(milliseconds=int(written.jitter_seconds * 1000) * share >> 32)


def faults(written: Written) -> Iterator[InvalidSchedule]:
    """Everything that is wrong, a fault a field."""
    expression = zone = None
    try:
        expression = parse(written.cron_expr)
    except InvalidSchedule as fault:
        yield fault
    try:
        zone = zone_named(written.time_zone)
    except InvalidSchedule as fault:
        yield fault
    yield from _bound_faults(written, expression, zone)
    if not 0 <= written.jitter_seconds <= MAX_JITTER_SECONDS:
        yield InvalidSchedule(
            f"a jitter of {written.jitter_seconds:g} s {outside(0, MAX_JITTER_SECONDS, 's')}", "jitter_seconds"
        )
    elif written.jitter_seconds and expression and zone:
        yield from _jitter_faults(written, expression, zone)


def _bound_faults(written: Written, expression: Expression | None, zone: tzinfo | None) -> Iterator[InvalidSchedule]:
    start, end = written.start_at, written.end_at
    for field, moment in (("start_at", start), ("end_at", end)):
        if moment is not None and not EARLIEST <= moment <= HORIZON:
            yield InvalidSchedule(
                f"{field} {moment.isoformat()} is outside {EARLIEST:%Y} to {HORIZON:%Y}; leave it out for no bound",
                field,
            )
            return
    if start and end and end < start:
        yield InvalidSchedule(
            f"end_at {end.isoformat()} is before start_at {start.isoformat()}; swap them, or leave one out", "end_at"
        )
    elif (
        start and end and expression and zone and not any(Timing(expression, zone, end_at=end).due(start - JUST_BEFORE))
    ):
        yield InvalidSchedule(
            f"{written.cron_expr!r} never fires between start_at {start.isoformat()} and end_at {end.isoformat()}; "
            "widen them",
            "end_at",
        )


def _jitter_faults(written: Written, expression: Expression, zone: tzinfo) -> Iterator[InvalidSchedule]:
    first = islice(moments(expression, zone, LEAP_YEAR.replace(tzinfo=zone)), LOOKED_AT)
    shortest = min((later - earlier for earlier, later in pairwise(first)), default=timedelta.max)
    if written.jitter_seconds > shortest.total_seconds():
        yield InvalidSchedule(
            f"a jitter of {written.jitter_seconds:g} s is longer than the period of {written.cron_expr!r}, "
            f"{shortest.total_seconds():g} s at its shortest; choose a shorter one",
            "jitter_seconds",
        )
