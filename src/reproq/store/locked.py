"""For people who change runs by hand or look at them: how long they wait for what somebody's transaction locks, and
whose that is.

A worker never waits for such a row, and needs none of this. It refuses to know what is done within the bound.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Final

import psycopg
from psycopg.errors import LockNotAvailable, QueryCanceled

from reproq.errors import ReproqError, RunLocked
from reproq.store.arrays import numbers
from reproq.store.db import Database
from reproq.store.holders import Holder
from reproq.store.statements import Cursor, fetch_all, fetch_one

LOCK_SECONDS: Final = 5.0
"""How long somebody waits who has not said how long."""
SHORTEST_SECONDS: Final = 0.1
"""Less would make an error of what a worker's renewal holds for a moment."""
LONGEST_SECONDS: Final = 2_000_000.0
"""PostgreSQL counts the milliseconds of its timeouts in 31 bits."""
FIRST_LOOK_SECONDS: Final = 0.2
"""A change that takes no longer costs no second connection."""
LOOK_EVERY_SECONDS: Final = 1.0


@contextmanager
def bounded(cursor: Cursor, run_ids: Sequence[int], seconds: float, onlooker: Database) -> Iterator[None]:
    """Within it, what `cursor` does in its open transaction waits for locks no longer than `seconds`, or half a second
    more. Raises RunLocked, which names those of the runs that are locked, and by whom; `onlooker` is another way to the
    same database, taken only when a wait takes long, and closed at the end."""
    seconds = min(max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS)
    with _watched(
        cursor,
        "bound_lock_wait",
        seconds,
        onlooker,
        lambda holders: _text(_locked_of(onlooker, run_ids), seconds, holders),
    ):
        yield


@contextmanager
def looking(database: Database) -> Iterator[Cursor]:
    """A transaction in which somebody reads, and waits no longer than `LOCK_SECONDS` for each table that somebody
    locks. Raises RunLocked, which says whose lock it is, and what `Database.transaction` raises."""
    seconds = LOCK_SECONDS
    with (
        database.transaction() as cursor,
        _watched(cursor, "bound_look", seconds, database.twin(), lambda holders: _unread(seconds, holders)),
    ):
        yield cursor


@contextmanager
def _watched(
    cursor: Cursor, bound: str, seconds: float, onlooker: Database, told: Callable[[Sequence[Holder]], str]
) -> Iterator[None]:
    row = fetch_one(cursor, bound, {"seconds": seconds})
    assert row is not None, "the statement gives one row"  # noqa: S101
    watch = _Watch(onlooker.twin(), row[0], seconds)
    try:
        yield
    except Exception as error:
        holders = watch.end()
        if not _was_late(error, holders):
            raise
        raise RunLocked(told(holders)) from error
    finally:
        watch.end()
        onlooker.close()


def _was_late(error: BaseException, holders: Sequence[Holder]) -> bool:
    """Whether it is a lock that the statement waited for. Django's errors have psycopg's as their cause."""
    states = [getattr(one, "sqlstate", None) for one in (error, error.__cause__)]
    return LockNotAvailable.sqlstate in states or (QueryCanceled.sqlstate in states and bool(holders))


def _locked_of(onlooker: Database, run_ids: Sequence[int]) -> list[int]:
    if len(run_ids) == 1:
        return list(run_ids)
    try:
        with onlooker.transaction() as cursor:
            free = {row[0] for row in fetch_all(cursor, "lockable_runs", {"ids": numbers(run_ids)})}
    except (psycopg.Error, ReproqError):
        return []
    return [run_id for run_id in sorted(run_ids) if run_id not in free]


def _text(run_ids: Sequence[int], seconds: float, holders: Sequence[Holder]) -> str:
    named = ", ".join(map(str, run_ids[:5])) + (", …" if len(run_ids) > 5 else "")
    runs = {0: "one of these runs", 1: f"run {named}"}.get(len(run_ids), f"runs {named}")
    rows = "its row is" if len(run_ids) < 2 else "their rows are"
    return f"nothing was changed: {runs} could not be written to within {seconds:g} s, because {rows} {_by(holders)}"


def _unread(seconds: float, holders: Sequence[Holder]) -> str:
    return f"nothing could be read within {seconds:g} s, because a table is {_by(holders)}"


def _by(holders: Sequence[Holder]) -> str:
    who = " and ".join(map(str, holders)) or "another session's transaction"
    remedies = "; ".join(one.remedy for one in holders if one.remedy) or "pg_stat_activity shows which it is"
    return f"locked by {who}; let that commit or roll back ({remedies}), then try again"


class _Watch:
    """Looks on at a session from another one, in a thread, since the first waits. The thread alone uses `onlooker`, and
    closes it: whoever has given up waiting for it could not know whether it is just about to connect."""

    def __init__(self, onlooker: Database, pid: int, seconds: float) -> None:
        self._onlooker = onlooker
        self._pid = pid
        self._first_look_seconds = min(FIRST_LOOK_SECONDS, seconds / 2)
        self._seen: list[Holder] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="reproq-onlooker", daemon=True)
        self._thread.start()

    def end(self) -> list[Holder]:
        """Look no more; whoever was last seen to be in the way."""
        self._over.set()
        self._thread.join(LOOK_EVERY_SECONDS)
        return self._seen

    def _look(self) -> None:
        pause_seconds = self._first_look_seconds
        with closing(self._onlooker), suppress(psycopg.Error, ReproqError):  # it only looks on: then nobody is named
            while not self._over.wait(pause_seconds):
                pause_seconds = LOOK_EVERY_SECONDS
                with self._onlooker.transaction() as cursor:
                    rows = fetch_all(cursor, "blocking_sessions", {"pid": self._pid})
                self._seen = [Holder(*row) for row in rows] or self._seen
