"""Places wall-clock times in a zone: what a schedule means where the clock is put forward or back.

Two rules (docs/schedules.md tells them with examples). A *fixed* schedule fires once for each time of day that it
names: inside the spring gap, at the first moment after it; inside the autumn fold, at the first of the two. Every other
schedule follows the real hours: what the gap leaves out does not happen, what the fold repeats happens twice.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from reproq.errors import InvalidSchedule
from reproq.schedule.expression import Expression

LOOK_EVERY: Final = timedelta(days=1)
"""How far apart a change of the clock is looked for: no zone has had two within a day since time began."""
A_SECOND: Final = timedelta(seconds=1)
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""No `start_at` or `end_at` is earlier: soon Python's years would end, and PostgreSQL's `-infinity` is no moment."""
HORIZON: Final = datetime(9990, 1, 1, tzinfo=UTC)
"""Nothing fires later: beyond it Python's years end."""


class Effect(StrEnum):
    """What a change of the clock does to one moment of a schedule."""

    NONE = ""
    GAP = "the time that it names does not exist that day; it fires when the gap is over"
    FOLD = "the clock shows this time twice; it fires at the first"
    FIRST = "the clock shows this time twice; this is the first"
    SECOND = "the clock shows this time twice; this is the second"


def zone_named(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises InvalidSchedule for one that the tz database of this machine does not have."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; a path, say; a folder of the database
        raise InvalidSchedule(
            f"{name!r:.80} is no time zone of the IANA database; write UTC or Europe/Berlin, say (where every name is "
            "refused, install the package tzdata)",
            "time_zone",
        ) from None


def moments(expression: Expression, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The moments later than `after` at which a schedule fires, in order, in UTC."""
    start = after.astimezone(UTC).replace(microsecond=0)
    return _fixed(expression, zone, start) if expression.is_fixed else _by_the_hour(expression, zone, start)


def _fixed(expression: Expression, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    newest = after
    for wall in expression.matches(_wall(after, zone)):
        moment = _first_moment(wall, zone)
        if moment > HORIZON:
            return
        if moment > newest:  # several times of one gap end it together; a fold shows times that were over before
            newest = moment
            yield moment


def _by_the_hour(expression: Expression, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """Walk from one change of the clock to the next: in between, wall clock and UTC run side by side."""
    start, walls = after, expression.matches(_wall(after, zone))
    while True:
        offset = _offset(start, zone)
        for wall in walls:
            moment = (wall - offset).replace(tzinfo=UTC)
            if moment > HORIZON:
                return
            if (changed := _change_between(start, moment, zone)) is not None:
                break
            start = moment
            yield moment
        else:
            return
        start, walls = changed, expression.matches(_wall(changed, zone) - A_SECOND)


def effect(expression: Expression, zone: tzinfo, moment: datetime) -> Effect:
    """What a change of the clock has to do with one moment of a schedule."""
    local = moment.astimezone(zone)
    wall = local.replace(tzinfo=None)
    if expression.is_fixed and next(expression.matches(wall - A_SECOND)) != wall:
        return Effect.GAP
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return Effect.NONE
    if expression.is_fixed:
        return Effect.FOLD
    return Effect.SECOND if local.fold else Effect.FIRST


def _first_moment(wall: datetime, zone: tzinfo) -> datetime:
    """When a wall clock first shows this time; within a gap, when the gap is over."""
    moment = wall.replace(tzinfo=zone).astimezone(UTC)
    if _wall(moment, zone) == wall:
        return moment
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)  # in a gap, fold=1 takes the offset after it
    return _change_between(min(before, moment), max(before, moment), zone) or moment


def _change_between(start: datetime, end: datetime, zone: tzinfo) -> datetime | None:
    """The first moment later than `start`, up to `end`, at which another offset holds; to the second."""
    offset = _offset(start, zone)
    while start < end:
        look = min(start + LOOK_EVERY, end)
        if _offset(look, zone) != offset:
            return _bisected(start, look, offset, zone)
        start = look
    return None


def _bisected(same: datetime, other: datetime, offset: timedelta, zone: tzinfo) -> datetime:
    while other - same > A_SECOND:
        middle = same + timedelta(seconds=int((other - same).total_seconds()) // 2)
        if _offset(middle, zone) == offset:
            same = middle
        else:
            other = middle
    return other


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _wall(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)
