"""Periodic tasks, as schedulers see them: fill their lists of moments, fire what is due, ask what comes next.

Moments are computed by `reproq.schedule`, ticks are fired by the SQL function `reproq_enqueue_periodic_task`, which
decides everything: whoever comes second finds nothing left to do. `now` is always the last parameter: None takes the
database's clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import psycopg

from reproq.errors import InvalidSchedule, MissingGrant
from reproq.schedule.timing import CatchUp, Written, understood
from reproq.schedule.upcoming import Refill, refill
from reproq.store.arrays import numbers, texts
from reproq.store.db import Database, is_outage
from reproq.store.statements import Cursor, execute, fetch_all, fetch_one

FIRE_LIMIT: Final = 500
REFILL_LIMIT: Final = 200
"""Lists computed in one transaction; some hundred microseconds each, during which their rows are locked."""
FAULT_SECONDS: Final = 60.0
"""How long a periodic task that cannot be computed or fired is left alone."""
TICK_DAYS: Final = 30
LATE_SECONDS: Final = 15.0
"""What nobody has looked at for so long after its time is overdue: every scheduler looks within ten seconds."""
SHOWN_OVERDUE: Final = 10
PRUNE_LIMIT: Final = 5000


@dataclass(frozen=True, slots=True)
class Fired:
    """One tick. `run_id` is None where overlap queued or skipped it; `lag_seconds` is from due to decided."""

    name: str
    queue_name: str
    due_at: datetime
    outcome: str
    run_id: int | None
    lag_seconds: float


@dataclass(slots=True)
class BeatAnswer:
    """What one look came to. `faults` are new ones, by name; `trouble` is why the look itself failed. `next_seconds` is
    when there is something to do again (None: nothing is scheduled), `has_queued` that a tick waits for a run to end.
    """

    fired: list[Fired] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    next_seconds: float | None = None
    has_queued: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class FirePeriodicTasks:
    """One look: fill the lists that are to be filled, then fire one tick of everything that is due.

    Several short transactions, each of which leaves things right. A row that cannot be computed or fired says so, and
    stops no other. Nothing but a lost database makes it fail: a worker must not end because its beat may not.
    """

    def run(self, database: Database, now: datetime | None) -> BeatAnswer:
        answer = BeatAnswer()
        try:
            with database.transaction() as cursor:
                answer.faults |= refill_due(cursor, now=now)
            self._fire(database, answer, now)
            with database.transaction() as cursor:
                answer.next_seconds, answer.has_queued = next_tick(cursor, now)
        except (psycopg.Error, MissingGrant) as error:
            if is_outage(error):
                raise
            answer.trouble = str(error)
        return answer

    def _fire(self, database: Database, answer: BeatAnswer, now: datetime | None) -> None:
        try:
            with database.transaction() as cursor:
                answer.fired += fire_due(cursor, now)
        except psycopg.Error as error:
            if is_outage(error):
                raise
            self._one_by_one(database, answer, now)

    def _one_by_one(self, database: Database, answer: BeatAnswer, now: datetime | None) -> None:
        """One of them is refused: find out which."""
        with database.transaction() as cursor:
            names = [str(row[0]) for row in fetch_all(cursor, "names_due", {"limit": FIRE_LIMIT, "now": now})]
        refused = {}
        for name in names:
            try:
                with database.transaction() as cursor:
                    answer.fired += fire(cursor, name, now=now)
            except psycopg.Error as error:
                if is_outage(error):
                    raise
                refused[name] = f"it cannot be fired: {error.diag.message_primary or error}"
        if refused:
            with database.transaction() as cursor:
                answer.faults |= set_faults(cursor, refused, now)


@dataclass(frozen=True, slots=True)
class RefillLists:
    """Fill the lists that are to be filled, and fire nothing: what a worker does that leaves firing to pg_cron, which
    fires by these lists and cannot compute them."""

    def run(self, database: Database, now: datetime | None) -> BeatAnswer:
        answer = BeatAnswer()
        try:
            with database.transaction() as cursor:
                answer.faults |= refill_due(cursor, now=now)
        except (psycopg.Error, MissingGrant) as error:
            if is_outage(error):
                raise
            answer.trouble = str(error)
        return answer


@dataclass(frozen=True, slots=True)
class PruneTicks:
    """Forget the oldest ticks; answers how many went. None where the role may not, which is no reason to end."""

    def run(self, database: Database, now: datetime | None) -> int:
        try:
            with database.transaction() as cursor:
                return prune(cursor, now=now)
        except MissingGrant:
            return 0


def refill_due(
    cursor: Cursor, names: Sequence[str] | None = None, limit: int = REFILL_LIMIT, now: datetime | None = None
) -> dict[str, str]:
    """Compute the lists that are to be computed, of these periodic tasks or of any; the new faults by name."""
    params = {"names": None if names is None else texts(names), "limit": limit, "now": now}
    computed: dict[int, Refill] = {}
    faults: dict[str, str] = {}
    for row in fetch_all(cursor, "lists_to_refill", params):
        task_id, *texts_of_timing, catch_up, bound, computed_until, moment = row
        try:
            timing = understood(Written(**dict(zip(TIMING, texts_of_timing, strict=True))))
        except InvalidSchedule as fault:
            faults[row[1]] = f"{fault.field}: {fault}"
        else:
            computed[task_id] = refill(timing, CatchUp(catch_up), bound, computed_until, moment)
    if computed:
        write_lists(cursor, computed)
    return set_faults(cursor, faults, now) if faults else {}


TIMING: Final = ("name", "cron_expr", "time_zone", "jitter_seconds", "start_at", "end_at")
"""The fields of `Written`, in the order in which `lists_to_refill` gives them."""


def write_lists(cursor: Cursor, computed: dict[int, Refill]) -> None:
    """Write lists by the ids of their rows, which the caller has locked."""
    lists = computed.values()
    params = {
        "ids": numbers(computed),
        "moments": texts("{" + ",".join(f'"{moment.isoformat()}"' for moment in one.moments) + "}" for one in lists),
        "kept_until": _moments(one.kept_until for one in lists),
        "computed_until": _moments(one.computed_until for one in lists),
        "refill_at": _moments(one.refill_at for one in lists),
    }
    execute(cursor, "refill_lists", params)


def _moments(values: Iterable[datetime | None]) -> str:
    return texts(None if moment is None else moment.isoformat() for moment in values)


def fire_due(cursor: Cursor, now: datetime | None = None) -> list[Fired]:
    """One tick of each periodic task that is due, of some hundred at most."""
    return _fired(fetch_all(cursor, "fire_due", {"limit": FIRE_LIMIT, "now": now}))


def fire(cursor: Cursor, name: str, due_at: datetime | None = None, now: datetime | None = None) -> list[Fired]:
    """The oldest tick of one periodic task that is due, or the one that is named; nothing where none is.

    Raises psycopg.errors.NoDataFound where there is no such periodic task.
    """
    return _fired(fetch_all(cursor, "fire_one", {"name": name, "due_at": due_at, "now": now}))


def skip(cursor: Cursor, name: str, now: datetime | None = None) -> datetime | None:
    """Leave out the next tick; when it would have been due. None where none is listed, or no such task is there."""
    row = fetch_one(cursor, "skip_tick", {"name": name, "now": now})
    return None if row is None else row[0]


@dataclass(frozen=True, slots=True)
class ScheduleHealth:
    """How schedules stand. `overdue` are those that nobody has looked at in time, by name, with the seconds."""

    enabled: int
    paused: int
    at_fault: int
    overdue: dict[str, float]


def health(cursor: Cursor, now: datetime | None = None, late_seconds: float = LATE_SECONDS) -> ScheduleHealth:
    """How schedules stand, with at most ten that are overdue."""
    params = {"late_seconds": late_seconds, "limit": SHOWN_OVERDUE, "now": now}
    row = fetch_one(cursor, "schedule_health", params)
    assert row is not None, "it always gives one row"  # noqa: S101
    return ScheduleHealth(*row)


def _fired(rows: Sequence[tuple[object, ...]]) -> list[Fired]:
    return [Fired(*row) for row in rows if row[2] is not None]  # type: ignore[arg-type]


def next_tick(cursor: Cursor, now: datetime | None = None) -> tuple[float | None, bool]:
    """In how many seconds there is something to do, and whether ticks wait for runs to end."""
    row = fetch_one(cursor, "next_tick", {"now": now})
    assert row is not None, "it always gives one row"  # noqa: S101
    return row[0], row[1]


def set_faults(cursor: Cursor, faults: dict[str, str], now: datetime | None = None) -> dict[str, str]:
    """Note why these cannot be computed or fired; the ones that say something new."""
    params = {"names": texts(faults), "faults": texts(faults.values()), "delay_seconds": FAULT_SECONDS, "now": now}
    return {row[0]: row[1] for row in fetch_all(cursor, "set_faults", params) if row[2]}


def prune(cursor: Cursor, limit: int = PRUNE_LIMIT, now: datetime | None = None) -> int:
    """Forget ticks that were decided more than thirty days ago, the oldest first; how many went."""
    row = fetch_one(cursor, "prune_ticks", {"limit": limit, "days": TICK_DAYS, "now": now})
    return int(row[0]) if row else 0
