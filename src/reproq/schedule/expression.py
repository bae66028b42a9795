"""Reads a cron expression: five fields, six with seconds first, or one of five names. Knows neither zones nor a clock.

cronsim does the matching, on wall-clock times without a zone: its own rules for changes of the clock differ between
five and six fields, so ours are in zones.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cronsim import CronSim, CronSimError

from reproq.errors import InvalidSchedule

NAMED: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
FIELDS: Final = (
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day-of-month", "1-31, L or LW"),
    ("month", "1-12 or JAN-DEC"),
    ("day-of-week", "0-7 or SUN-SAT, with L or #1 to #5"),
)
FIELD: Final = "cron_expr"
"""The field of a periodic task that all of this is about."""

MAX_CHARACTERS: Final = 200
EVERY_HOUR: Final = frozenset(range(24))
LEAP_YEAR: Final = datetime(2024, 1, 1)
"""Where a first match is looked for: 29 February is found at once. cronsim gives up after 50 years, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A cron expression that fires now and then. `text` is what was written, `plain` the same without names."""

    text: str
    plain: str
    is_fixed: bool = field(compare=False)
    """Whether it names times of day, rather than every so many minutes or every hour."""

    def matches(self, after: datetime) -> Iterator[datetime]:
        """The wall-clock times that match, each later than the one before, the first later than `after`."""
        return iter(CronSim(self.plain, after))

    @property
    def words(self) -> str:
        """What it says, in English."""
        return CronSim(self.plain, LEAP_YEAR).explain()


def parse(text: str) -> Expression:
    """The expression that a text writes. Raises InvalidSchedule, naming the field, for what cannot be read or can
    never fire."""
    given = text.strip()
    if given.startswith("@") and given.lower() not in NAMED:
        raise InvalidSchedule(f"{text!r:.60} is none of {', '.join(NAMED)}; write five fields for anything else", FIELD)
    plain = NAMED.get(given.lower(), " ".join(given.split()))
    if len(plain) > MAX_CHARACTERS:
        raise InvalidSchedule(
            f"the expression has {len(plain):,} characters, over the bound of {MAX_CHARACTERS}; write ranges or steps",
            FIELD,
        )
    count = len(plain.split())
    if count not in (5, 6):
        raise InvalidSchedule(
            f"{text!r:.60} has {count} fields; a cron expression has 5 (minute, hour, day of month, month, day of "
            "week), or 6 with seconds first",
            FIELD,
        )
    return Expression(given, plain, _is_fixed(_simulated(plain), plain))


def _simulated(plain: str) -> CronSim:
    """Raises InvalidSchedule for what cronsim cannot read, or cannot find a match of."""
    try:
        found = CronSim(plain, LEAP_YEAR)
        next(found)
    except CronSimError as error:
        raise InvalidSchedule(_reason(str(error), plain), FIELD) from None
    except StopIteration:
        raise InvalidSchedule(f"{plain!r} never fires: no such day exists; name days that do", FIELD) from None
    return found


def _reason(complaint: str, plain: str) -> str:
    """cronsim names a field; the text of that field and its range say what to write instead."""
    parts = plain.split()
    for (name, allowed), part in zip(FIELDS[6 - len(parts) :], parts, strict=True):
        if complaint == f"Bad {name}":
            if name == "day-of-month" and _reads(f"0 0 {part} * *"):
                return f"{plain!r} never fires: no day {part} exists in month {parts[-2]}; name days that do"
            return f"Bad {name} {part!r} in {plain!r}; it takes {allowed}, with *, lists, ranges upwards and /steps"
    return f"{plain!r} is no cron expression: {complaint}"


def _reads(plain: str) -> bool:
    try:
        CronSim(plain, LEAP_YEAR)
    except CronSimError:
        return False
    return True


def _is_fixed(found: CronSim, plain: str) -> bool:
    """As in Debian's cron, a star at the beginning of seconds, minutes or hours makes it one of those that follow the
    real hours; so does naming all 24."""
    of_the_day = plain.split()[:-3]
    return not any(part.startswith("*") for part in of_the_day) and not found.hours >= EVERY_HOUR
