"""Periodic tasks, as schedulers see them: fill their lists of moments, fire what is due, ask what comes next.

Moments are computed by `reproq.schedule`, ticks are fired by the SQL function `reproq_enqueue_periodic_task`, which
decides everything: whoever comes second finds nothing left to do. `now` is always the last parameter: None takes the
database's clock.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
LATE_WITHOUT_BEAT_SECONDS: Final = 75.0
"""The same where only pg_cron fires: what is due between two minutes is late by one."""
SHOWN_OVERDUE: Final = 10
NEWEST_TICKS: Final = 100
"""From so many it is told how late ticks are."""
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
    """What one look came to. `faults` are new ones, by name; `trouble` is why the look itself failed. `filled` counts
    the lists that were computed, or could not be. `next_seconds` is when there is something to do again (None: nothing
    is scheduled), `has_queued` that a tick waits for a run to end.
    """

    fired: list[Fired] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    filled: int = 0
    next_seconds: float | None = None
    has_queued: bool = False
    trouble: str = ""

    @property
    def is_full(self) -> bool:
        """Whether there are more lists to be filled at once."""
        return self.filled >= REFILL_LIMIT

    @property
    def is_partial(self) -> bool:
        """Whether there may be more of the same to do at once."""
        return bool(self.fired) or self.is_full

    def fill(self, database: Database, now: datetime | None) -> None:
        """Compute the lists that are to be computed, as many as one transaction should."""
        with database.transaction() as cursor:
            self.filled, faults = _fill(cursor, None, REFILL_LIMIT, now)
            self.faults |= faults

    def look_ahead(self, database: Database, now: datetime | None) -> None:
        """Ask when there is something to do again."""
        with database.transaction() as cursor:
            self.next_seconds, self.has_queued = next_tick(cursor, now)


@contextmanager
def _told(answer: BeatAnswer) -> Iterator[None]:
    """Whatever goes wrong but a lost database is the answer's `trouble`."""
    try:
        yield
    except (psycopg.Error, MissingGrant) as error:
        if is_outage(error):
            raise
        answer.trouble = str(error)


@dataclass(frozen=True, slots=True)
class FirePeriodicTasks:
    """One look: fill the lists that are to be filled, then fire one tick of everything that is due.

    Several short transactions, each of which leaves things right. A row that cannot be computed or fired says so, and
    stops no other. Nothing but a lost database makes it fail: a worker must not end because its beat may not.
    """

    def run(self, database: Database, now: datetime | None) -> BeatAnswer:
        answer = BeatAnswer()
        with _told(answer):
            answer.fill(database, now)
            self._fire(database, answer, now)
            answer.look_ahead(database, now)
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
        with _told(answer):
            answer.fill(database, now)
            answer.look_ahead(database, now)
        return answer


@dataclass(frozen=True, slots=True)
class PruneTicks:
    """Forget the oldest ticks; answers how many went. None went where the role may not, or the server cancelled it,
    which is no reason for a worker to end."""

    def run(self, database: Database, now: datetime | None) -> int:
        answer = BeatAnswer()
        with _told(answer), database.transaction() as cursor:
            return prune(cursor, now=now)
        return 0


def refill_due(
    cursor: Cursor, names: Sequence[str] | None = None, limit: int = REFILL_LIMIT, now: datetime | None = None
) -> dict[str, str]:
    """Compute the lists that are to be computed, of these periodic tasks or of any; the new faults by name."""
    return _fill(cursor, names, limit, now)[1]


def _fill(cursor: Cursor, names: Sequence[str] | None, limit: int, now: datetime | None) -> tuple[int, dict[str, str]]:
    params = {"names": None if names is None else texts(names), "limit": limit, "now": now}
    computed: dict[int, Refill] = {}
    faults: dict[str, str] = {}
    rows = fetch_all(cursor, "lists_to_refill", params)
    for row in rows:
        try:
            computed[row[0]] = _refilled(*row[1:])
        except InvalidSchedule as fault:
            faults[row[1]] = f"{fault.field}: {fault}"
        except Exception as bug:  # one row must not end every worker there is
            faults[row[1]] = f"it cannot be computed: {type(bug).__name__}: {bug}"
    if computed:
        write_lists(cursor, computed, now)
    return len(rows), set_faults(cursor, faults, now) if faults else {}


def _refilled(
    name: str, cron_expr: str, time_zone: str, jitter: float, catch_up: str, bound: int, *moments: datetime | None
) -> Refill:
    """One row of `lists_to_refill`. Its moments are UTC without saying so: those that do would come out of Django's
    cursors in the project's zone, and not saying so either where USE_TZ is off."""
    start_at, end_at, computed_until, now = (one and one.replace(tzinfo=UTC) for one in moments)
    assert now is not None, "the statement gives it"  # noqa: S101
    written = Written(
        name=name, cron_expr=cron_expr, time_zone=time_zone, jitter_seconds=jitter, start_at=start_at, end_at=end_at
    )
    return refill(understood(written), CatchUp(catch_up), bound, computed_until, now)


def write_lists(cursor: Cursor, computed: dict[int, Refill], now: datetime | None) -> None:
    """Write lists by the ids of their rows, which the caller has locked. A tick that was skipped ahead of its time, or
    fired by name, is not listed again."""
    lists = computed.values()
    params = {
        "ids": numbers(computed),
        "moments": texts("{" + ",".join(f'"{moment.isoformat()}"' for moment in one.moments) + "}" for one in lists),
        "kept_until": _moments(one.kept_until for one in lists),
        "computed_until": _moments(one.computed_until for one in lists),
        "refill_at": _moments(one.refill_at for one in lists),
        "now": now,
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
    """How schedules stand. `overdue` are those that nobody has looked at in time, by name, with the seconds; None where
    nobody has looked since they were made or changed. The lags are of the newest ticks that became runs, from due to
    enqueued; `last_beat_seconds` is since a scheduler was last seen. None: there was none."""

    enabled: int
    paused: int
    at_fault: int
    overdue: dict[str, float | None]
    lag_p50_seconds: float | None
    lag_max_seconds: float | None
    last_beat_seconds: float | None


def health(cursor: Cursor, now: datetime | None = None, *, has_beat: bool = True) -> ScheduleHealth:
    """How schedules stand, with at most ten that are overdue; without a beat, pg_cron alone fires them."""
    late_seconds = LATE_SECONDS if has_beat else LATE_WITHOUT_BEAT_SECONDS
    params = {"late_seconds": late_seconds, "limit": SHOWN_OVERDUE, "newest": NEWEST_TICKS, "now": now}
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
    """Forget ticks that were due and decided more than thirty days ago, the oldest first; how many went."""
    row = fetch_one(cursor, "prune_ticks", {"limit": limit, "days": TICK_DAYS, "now": now})
    return int(row[0]) if row else 0
