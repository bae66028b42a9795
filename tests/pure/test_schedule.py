"""When schedules fire: expressions, zones, changes of the clock, years, jitter, and the list that a row keeps."""

import re
import time
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tzdata

from reproq.errors import InvalidSchedule
from reproq.schedule.expression import NAMED, parse
from reproq.schedule.timing import CatchUp, Timing, Written, faults, offset_of, understood
from reproq.schedule.upcoming import AHEAD, ON_TIME, refill
from reproq.schedule.zones import HORIZON, Effect, effect, moments, zone_named

NOON = datetime(2026, 11, 28, 12, 0, 45, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def _pinned_tz_database() -> Iterator[None]:
    """The tz database of the lock, whatever the machine has."""
    zoneinfo.reset_tzpath(to=[str(Path(tzdata.__file__).parent / "zoneinfo")])
    ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    ZoneInfo.clear_cache()


def local(expression: str, zone: str, after: str, count: int = 4) -> list[str]:
    """The first moments after a wall-clock time, as that zone's clock shows them."""
    place = ZoneInfo(zone)
    found = moments(parse(expression), place, datetime.fromisoformat(after).replace(tzinfo=place))
    return [moment.astimezone(place).strftime("%m-%d %H:%M%z") for moment in islice(found, count)]


# -- expressions ------------------------------------------------------------------------------------------------------


def test_five_fields_six_with_seconds_and_five_names_are_read() -> None:
    assert local("30 2 * * mon-fri", "UTC", "2026-01-01", 2) == ["01-01 02:30+0000", "01-02 02:30+0000"]
    second = next(moments(parse("15 30 2 * * *"), UTC, NOON))
    assert (second.hour, second.minute, second.second) == (2, 30, 15)
    assert {name: parse(name).plain for name in NAMED} == NAMED
    assert parse(" @Daily ").words == "At 00:00 every day"


@pytest.mark.lesson("an-invalid-expression-that-fails-for-ever")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has 0 fields"),
        ("* * * *", "has 4 fields"),
        ("60 * * * *", "Bad minute '60' in '60 * * * *'; it takes 0-59"),
        ("61 * * * * *", "Bad second '61'"),
        ("0 24 * * *", "Bad hour '24'"),
        ("0 0 0 * *", "Bad day-of-month '0'"),
        ("0 0 * FOO *", "Bad month 'FOO'"),
        ("0 0 * * FRI-MON", "Bad day-of-week 'FRI-MON'"),
        ("*/0 * * * *", "Bad minute '*/0'"),
        ("@often", "is none of @hourly, @daily"),
        ("@reboot", "is none of"),
        (f"{','.join(['1'] * 200)} * * * *", "over the bound of 200"),
        ("0 0 30 2 *", "never fires: no day 30 exists in month 2"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 */15 2 MON#5", "never fires"),
    ],
)
def test_what_cannot_be_read_or_never_fires_is_refused_with_the_field(text: str, reason: str) -> None:
    with pytest.raises(InvalidSchedule, match=re.escape(reason)) as caught:
        parse(text)
    assert caught.value.field == "cron_expr"


def test_an_expression_that_never_fires_is_refused_quickly() -> None:
    began = time.process_time()
    for text in ("0 0 */15 2 MON#5", "* * * 30,31 2 *", "* * */15 2 MON#5"):
        with pytest.raises(InvalidSchedule, match="never fires"):
            parse(text)
    assert time.process_time() - began < 0.5


# -- zones and changes of the clock -----------------------------------------------------------------------------------

GAPS_AND_FOLDS = [
    # Berlin: 02:00 -> 03:00 on 29 March, 03:00 -> 02:00 on 25 October
    ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["03-29 03:00+0200", "03-30 02:30+0200"]),
    ("0 30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["03-29 03:00+0200", "03-30 02:30+0200"]),
    ("15,45 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["03-29 03:00+0200", "03-30 02:15+0200"]),
    ("0 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00", ["03-29 03:00+0200", "03-30 02:00+0200"]),
    ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["10-25 02:30+0200", "10-26 02:30+0100"]),
    ("0 3 * * *", "Europe/Berlin", "2026-10-24T12:00", ["10-25 03:00+0100", "10-26 03:00+0100"]),
    ("0 * * * *", "Europe/Berlin", "2026-03-29T00:30", ["03-29 01:00+0100", "03-29 03:00+0200"]),
    ("0 * * * *", "Europe/Berlin", "2026-10-25T01:30", ["10-25 02:00+0200", "10-25 02:00+0100", "10-25 03:00+0100"]),
    ("0 0-23 * * *", "Europe/Berlin", "2026-10-25T01:30", ["10-25 02:00+0200", "10-25 02:00+0100"]),
    ("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["03-30 02:00+0200", "03-30 02:30+0200"]),
    (
        "*/30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00",
        ["10-25 02:00+0200", "10-25 02:30+0200", "10-25 02:00+0100", "10-25 02:30+0100", "10-26 02:00+0100"],
    ),
    # New York: 02:00 -> 03:00 on 8 March, 02:00 -> 01:00 on 1 November
    ("30 1 * * *", "America/New_York", "2026-10-31T12:00", ["11-01 01:30-0400", "11-02 01:30-0500"]),
    # Lord Howe moves by half an hour: 02:00 -> 02:30 on 4 October, 02:00 -> 01:30 on 5 April
    ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["10-04 02:30+1100", "10-05 02:15+1100"]),
    ("*/15 2 * * *", "Australia/Lord_Howe", "2026-10-04T01:00", ["10-04 02:30+1100", "10-04 02:45+1100"]),
    ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", ["04-05 01:45+1100", "04-06 01:45+1030"]),
    # Cairo has no midnight on 24 April
    ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00", ["04-24 01:00+0300", "04-25 00:00+0300"]),
]


@pytest.mark.lesson("twice-or-never-at-a-change-of-the-clock")
@pytest.mark.parametrize(("expression", "zone", "after", "expected"), GAPS_AND_FOLDS)
def test_a_change_of_the_clock_neither_doubles_nor_loses_a_tick(
    expression: str, zone: str, after: str, expected: list[str]
) -> None:
    assert local(expression, zone, after, len(expected)) == expected


def test_an_hour_that_does_not_exist_has_no_minutes() -> None:
    cairo = ZoneInfo("Africa/Cairo")
    assert next(moments(parse("*/30 0 24 4 *"), cairo, datetime(2026, 4, 23, 12, tzinfo=UTC))).year == 2027


def test_the_schedule_goes_on_from_within_the_second_of_two_equal_hours() -> None:
    place = ZoneInfo("Europe/Berlin")
    inside = datetime(2026, 10, 25, 2, 10, tzinfo=place, fold=1)
    assert next(moments(parse("30 2 * * *"), place, inside)).day == 26
    assert next(moments(parse("0 3 * * *"), place, inside)).day == 25


def test_what_the_clock_did_to_a_moment_is_told() -> None:
    place = ZoneInfo("Europe/Berlin")

    def effects(expression: str, after: datetime, count: int) -> list[Effect]:
        plan = parse(expression)
        return [effect(plan, place, moment) for moment in islice(moments(plan, place, after), count)]

    assert effects("30 2 * * *", datetime(2026, 3, 28, 12, tzinfo=UTC), 2) == [Effect.GAP, Effect.NONE]
    assert effects("30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=UTC), 2) == [Effect.FOLD, Effect.NONE]
    assert effects("0 * * * *", datetime(2026, 10, 25, 0, tzinfo=UTC), 3) == [Effect.SECOND, Effect.NONE, Effect.NONE]


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "America", "/etc/localtime", "../UTC", "UTC\0", "U" * 5000])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidSchedule, match="is no time zone of the IANA database") as caught:
        zone_named(name)
    assert caught.value.field == "time_zone"


# -- every zone -------------------------------------------------------------------------------------------------------

FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AROUND = timedelta(hours=5)


def changes_of(zone: ZoneInfo) -> Iterator[datetime]:
    """The minutes of two years at which the offset of a zone changes."""
    at, offset = FIRST, FIRST.astimezone(zone).utcoffset()
    while at < LAST:
        step = next((step for step in (DAY, HOUR, MINUTE) if (at + step).astimezone(zone).utcoffset() == offset), None)
        at += step or MINUTE
        if step is None:
            offset = at.astimezone(zone).utcoffset()
            yield at


class Minutes:
    """The minutes around one change, and what the wall clock shows in each: what a person would look up."""

    def __init__(self, zone: ZoneInfo, change: datetime) -> None:
        span = range(-int(AROUND / MINUTE), int(AROUND / MINUTE))
        self.shown = {change + n * MINUTE: (change + n * MINUTE).astimezone(zone).replace(tzinfo=None) for n in span}
        self.inner = (change - AROUND + HOUR, change + AROUND - HOUR)
        self.before = self.shown[change - MINUTE]

    def within(self, found: Iterator[datetime]) -> list[datetime]:
        kept = []
        for moment in found:
            if moment >= self.inner[1]:
                return kept
            if moment >= self.inner[0]:
                kept.append(moment)
        return kept

    def every(self, minutes: set[int], hours: set[int]) -> list[datetime]:
        """What follows the real hours."""
        matching = (at for at, wall in self.shown.items() if wall.minute in minutes and wall.hour in hours)
        return self.within(iter(sorted(matching)))

    def once(self, hour: int, minute: int) -> list[datetime]:
        """A fixed time, on each day that the minutes touch: its first minute, or the first after it in a gap."""
        found = []
        for day in {wall.date() for wall in self.shown.values()}:
            named = datetime(day.year, day.month, day.day, hour, minute)
            if not min(self.shown.values()) < named < max(self.shown.values()):
                continue
            exact = [at for at, wall in self.shown.items() if wall == named]
            found.append(min(exact or (at for at, wall in self.shown.items() if wall > named)))
        return self.within(iter(sorted(found)))


def check(zone: ZoneInfo, seen: Minutes, expression: str, expected: list[datetime]) -> None:
    start = seen.inner[0] - HOUR
    assert seen.within(moments(parse(expression), zone, start)) == expected, (zone.key, expression)


def test_every_zone_of_the_tz_database_keeps_the_rules_at_its_changes() -> None:
    """Against a look at every minute around each change of two years. What a change looks like is looked up once; where
    zones share it, each still has to give the same moments."""
    known: dict[tuple[object, ...], Minutes] = {}
    zones, changes = 0, 0
    for name in sorted(zoneinfo.available_timezones()):
        zone = ZoneInfo(name)
        zones += 1
        for change in changes_of(zone):
            changes += 1
            key = (change, (change - MINUTE).astimezone(zone).utcoffset(), change.astimezone(zone).utcoffset())
            is_new = key not in known
            seen = known.setdefault(key, Minutes(zone, change)) if is_new else known[key]
            check(zone, seen, "0 * * * *", seen.every({0}, set(range(24))))
            middle = seen.before + 31 * MINUTE
            check(zone, seen, f"{middle.minute} {middle.hour} * * *", seen.once(middle.hour, middle.minute))
            if is_new:
                check_closely(zone, seen)
    assert zones > 590
    assert changes > 500
    assert len(known) > 40


def check_closely(zone: ZoneInfo, seen: Minutes) -> None:
    hours = {(seen.before + n * HOUR).hour for n in (-1, 0, 1)}
    check(zone, seen, "*/7 * * * *", seen.every(set(range(0, 60, 7)), set(range(24))))
    for hour in hours:
        check(zone, seen, f"*/20 {hour} * * *", seen.every({0, 20, 40}, {hour}))
    for quarters in range(-5, 6):
        named = seen.before + MINUTE + quarters * 15 * MINUTE
        check(zone, seen, f"{named.minute} {named.hour} * * *", seen.once(named.hour, named.minute))


# -- years ------------------------------------------------------------------------------------------------------------


def test_leap_days_year_ends_and_2100() -> None:
    leap = [moment.year for moment in islice(moments(parse("0 0 29 2 *"), UTC, datetime(2091, 1, 1, tzinfo=UTC)), 4)]
    assert leap == [2092, 2096, 2104, 2108]
    late = datetime(2099, 12, 31, 23, 58, tzinfo=UTC)
    assert list(islice(moments(parse("* * * * *"), UTC, late), 3)) == [late + n * MINUTE for n in (1, 2, 3)]
    assert next(moments(parse("59 23 31 12 *"), UTC, late + MINUTE)) == datetime(2100, 12, 31, 23, 59, tzinfo=UTC)
    assert next(moments(parse("0 0 1 1 *"), ZoneInfo("Asia/Tokyo"), late)) == datetime(2100, 12, 31, 15, tzinfo=UTC)
    assert local("0 12 L 2 *", "UTC", "2096-01-01", 5) == [f"02-{day} 12:00+0000" for day in (29, 28, 28, 28, 28)]
    assert local("30 2 * 3 SUN#2", "America/New_York", "2100-01-01", 1) == ["03-14 03:00-0400"]


def test_the_end_of_pythons_years_is_an_end() -> None:
    assert list(moments(parse("0 0 1 1 *"), UTC, datetime(9988, 6, 1, tzinfo=UTC)))[-1] <= HORIZON


# -- what people write ------------------------------------------------------------------------------------------------


def written(cron_expr: str = "* * * * *", **more: object) -> Written:
    return Written(name="nightly", cron_expr=cron_expr, **more)  # type: ignore[arg-type]


def test_every_fault_is_named_with_its_field() -> None:
    bad = written("nonsense", time_zone="Mars", jitter_seconds=-1, start_at=NOON, end_at=NOON - DAY)
    assert [fault.field for fault in faults(bad)] == ["cron_expr", "time_zone", "end_at", "jitter_seconds"]
    with pytest.raises(InvalidSchedule, match="has 1 fields"):
        understood(bad)


def test_a_jitter_longer_than_the_period_is_refused() -> None:
    assert list(faults(written(jitter_seconds=60))) == []
    (fault,) = faults(written(jitter_seconds=61))
    assert "is longer than the period of '* * * * *', 60 s" in str(fault)
    (fault,) = faults(written("0 0,1 * * *", jitter_seconds=3601))
    assert fault.field == "jitter_seconds"


def test_jitter_comes_from_the_name_and_stays_below_its_bound() -> None:
    offsets = {offset_of(Written(name=f"job {n}", cron_expr="", jitter_seconds=60)) for n in range(200)}
    assert len(offsets) > 190
    assert timedelta() <= min(offsets) < max(offsets) < timedelta(seconds=60)
    assert offset_of(written(jitter_seconds=600)) == timedelta(milliseconds=37_426)
    timing = understood(written("0 * * * *", jitter_seconds=600))
    assert next(timing.due(NOON)) == datetime(2026, 11, 28, 13, 0, 37, 426_000, tzinfo=UTC)


def test_start_and_end_belong_to_what_they_enclose() -> None:
    start, end = datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 3, tzinfo=UTC)
    timing = understood(written("0 0 * * *", start_at=start, end_at=end))
    assert list(timing.due(NOON)) == [start, start + DAY, end]
    just_after = understood(written("0 0 * * *", start_at=start + timedelta(milliseconds=1), end_at=end))
    assert next(just_after.due(NOON)) == start + DAY


def test_bounds_between_which_it_never_fires_are_refused() -> None:
    start, end = datetime(2030, 2, 1, tzinfo=UTC), datetime(2030, 3, 1, tzinfo=UTC)
    (fault,) = faults(written("@yearly", start_at=start, end_at=end))
    assert fault.field == "end_at"
    assert "'@yearly' never fires between start_at 2030-02-01T00:00:00+00:00 and end_at 2030-03-01" in str(fault)
    assert list(faults(written("@monthly", start_at=end, end_at=end))) == []


@pytest.mark.parametrize("field", ["start_at", "end_at"])
@pytest.mark.parametrize("moment", [datetime(1, 1, 1, tzinfo=UTC), datetime(9995, 1, 1, tzinfo=UTC)])
def test_a_bound_near_the_ends_of_time_is_refused_at_its_field(field: str, moment: datetime) -> None:
    (fault,) = faults(written(**{field: moment}))
    assert fault.field == field
    assert f"{field} {moment.isoformat()} is outside 1970 to 9990; leave it out for no bound" in str(fault)


# -- the list that a row keeps ----------------------------------------------------------------------------------------

MINUTELY = Timing(parse("* * * * *"), UTC)


def test_a_new_list_begins_now_and_holds_fifty_moments() -> None:
    made = refill(MINUTELY, CatchUp.ALL, 100, None, NOON)
    assert (made.kept_until, len(made.moments)) == (None, AHEAD)
    assert made.moments[0] == datetime(2026, 11, 28, 12, 1, tzinfo=UTC)
    assert made.computed_until == made.moments[-1]
    assert made.refill_at == made.moments[AHEAD // 2]


@pytest.mark.parametrize(("policy", "missed"), [(CatchUp.NONE, 0), (CatchUp.LATEST, 1), (CatchUp.ALL, 100)])
def test_after_six_hours_the_list_holds_what_the_policy_makes_up_for(policy: CatchUp, missed: int) -> None:
    made = refill(MINUTELY, policy, 100, NOON - timedelta(hours=6), NOON)
    overdue = [moment for moment in made.moments if moment <= NOON]
    assert len(overdue) == missed
    assert overdue[-1:] == [NOON.replace(second=0)] * bool(missed)
    assert len(made.moments) == missed + AHEAD


def test_what_is_late_by_seconds_is_not_missed() -> None:
    made = refill(Timing(parse("* * * * * *"), UTC), CatchUp.NONE, 100, NOON - timedelta(hours=6), NOON)
    assert made.moments[0] == NOON - ON_TIME + timedelta(seconds=1)


def test_an_outage_of_ten_years_costs_no_more_than_one_of_an_hour() -> None:
    began = time.process_time()
    made = refill(Timing(parse("* * * * * *"), UTC), CatchUp.ALL, 1000, NOON - 3650 * DAY, NOON)
    assert len(made.moments) == 1000 + AHEAD + 10
    assert time.process_time() - began < 1.0


def test_the_future_is_computed_anew_each_time() -> None:
    made = refill(MINUTELY, CatchUp.LATEST, 100, NOON + HOUR, NOON)
    assert made.kept_until == NOON
    assert made.moments[0] == datetime(2026, 11, 28, 12, 1, tzinfo=UTC)
    yearly = refill(Timing(parse("@yearly"), UTC), CatchUp.LATEST, 100, None, NOON)
    assert yearly.refill_at == NOON + DAY, "the rules of a zone may change"


def test_a_list_that_has_ended_is_never_filled_again() -> None:
    ended = Timing(parse("* * * * *"), UTC, end_at=NOON)
    assert refill(ended, CatchUp.LATEST, 100, None, NOON).refill_at is None
    soon = Timing(parse("* * * * *"), UTC, end_at=NOON + timedelta(minutes=2))
    made = refill(soon, CatchUp.LATEST, 100, None, NOON)
    assert (len(made.moments), made.computed_until) == (2, HORIZON)


def test_what_comes_every_28_years_is_listed_ten_years_ahead_and_its_next_moment_in_any_case() -> None:
    began = time.process_time()
    rare = Timing(parse("0 */12 29 2 */7"), ZoneInfo("Europe/Berlin"))
    made = refill(rare, CatchUp.LATEST, 100, None, NOON)
    assert time.process_time() - began < 0.5
    assert [moment.astimezone(ZoneInfo("Europe/Berlin")).year for moment in made.moments] == [2032, 2032]
    assert (made.computed_until, made.refill_at) == (NOON + 3653 * DAY, NOON + DAY)
    later = refill(rare, CatchUp.LATEST, 100, None, datetime(2033, 1, 1, tzinfo=UTC))
    assert [moment.year for moment in later.moments] == [2060]
    assert later.refill_at == datetime(2033, 1, 2, tzinfo=UTC)
