"""What pg_cron can say of a schedule in its own words, and where it falls short. Pure.

It knows minutes, in GMT; since 1.5 also `[1-59] seconds`, and one zone for all. Its rules for changes of the clock are
not ours.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from reproq.errors import InvalidSchedule
from reproq.schedule.expression import parse
from reproq.schedule.timing import CatchUp, Overlap
from reproq.schedule.zones import zone_named

SECONDS_SINCE: Final = (1, 5)
"""The version of pg_cron that brought `[1-59] seconds` and cron.timezone."""
UTC_NAMES: Final = frozenset({"UTC", "GMT", "Etc/UTC", "Etc/GMT", "Etc/UCT", "UCT", "Zulu", "Etc/Zulu", "Universal"})
LOOKED_AT: Final = [datetime(2024 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(14 * 12)]
"""The months in which a zone has one offset, if its clock is never changed."""
NUMBER: Final = r"(?:\d+|[A-Za-z]{3})"
PART: Final = re.compile(rf"(?:\*|{NUMBER}-{NUMBER})(?:/\d+)?|{NUMBER}")
"""What a field of pg_cron's holds between commas; it knows neither L nor #, and reads 5/15 otherwise than we do."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What matters here of one periodic task that is on."""

    id: int
    name: str
    cron_expr: str
    time_zone: str = "UTC"
    jitter_seconds: float = 0.0
    overlap: Overlap = Overlap.ALLOW
    catch_up: CatchUp = CatchUp.LATEST


@dataclass(frozen=True, slots=True)
class Cron:
    """The pg_cron that is there. `time_zone` is cron.timezone, GMT before 1.5; None where this role may not read it."""

    version: tuple[int, ...]
    time_zone: str | None = "GMT"

    @property
    def has_seconds(self) -> bool:
        return self.version >= SECONDS_SINCE


def expressed(task: Scheduled, cron: Cron) -> tuple[str, str]:
    """The same schedule in pg_cron's words, or empty; and then why it has none."""
    try:
        fields = parse(task.cron_expr).plain.split()
    except InvalidSchedule as error:
        return "", str(error)
    if len(fields) == 6 and fields.pop(0) != "0":
        return "", "it names seconds"
    if task.jitter_seconds:
        return "", "it has jitter"
    for one in fields:
        if not all(PART.fullmatch(part) for part in one.split(",")):
            return "", f"pg_cron does not know {one}"
    if cron.time_zone is None:
        return "", "this role may not read cron.timezone (GRANT pg_read_all_settings lets it)"
    if not _is_same_clock(task.time_zone, cron.time_zone):
        return "", f"its zone is {task.time_zone}, pg_cron's {cron.time_zone}" + _change_note(task, cron)
    return " ".join(fields), ""


def _is_same_clock(zone: str, crons: str) -> bool:
    """Our rules for changes of the clock are not pg_cron's, so a zone that has changes is nobody's but ours."""
    if zone in UTC_NAMES and crons in UTC_NAMES:
        return True
    return zone == crons and _stands_still(zone)


def _stands_still(zone: str) -> bool:
    place = zone_named(zone)
    return len({moment.astimezone(place).utcoffset() for moment in LOOKED_AT}) == 1


def _change_note(task: Scheduled, cron: Cron) -> str:
    return ", whose changes of the clock pg_cron treats in another way" if task.time_zone == cron.time_zone else ""


def needs_seconds(task: Scheduled) -> bool:
    """Whether it is due between two minutes."""
    fields = task.cron_expr.split()
    return task.jitter_seconds > 0 or (len(fields) == 6 and fields[0] != "0")


def is_often(task: Scheduled) -> bool:
    """Whether it may be due several times within a minute."""
    fields = task.cron_expr.split()
    return len(fields) == 6 and not fields[0].isdigit()
