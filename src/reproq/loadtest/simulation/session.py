"""A connection of the simulation: a real session, whose transactions can be held, cut and lost at every statement.

What it runs, it does not read.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.pq import ExecStatus

from reproq.lifecycle import Key
from reproq.loadtest.simulation.ledger import Commit
from reproq.loadtest.simulation.rules import Actor, Row
from reproq.store.db import Database

OnCommit = Callable[[Commit], dict[Key, int]]
"""Judges a commit; answers what it claimed, each with the serial of its execution."""

SETTINGS: Final = {
    "lock_timeout": "1ms",  # what waits for a held transaction would wait for ever: its holder is this very thread
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "extra_float_digits": "1",
    "plan_cache_mode": "force_generic_plan",  # spares a fifth of the time
}
"""Settings of every session, so that rows read the same on every server."""

WRITTEN: Final = b"written"
"""The name under which every session has prepared `sql/commit.sql`."""


@cache
def sql(name: str) -> str:
    """The text of `sql/<name>.sql` of this folder."""
    return (files("reproq.loadtest.simulation") / "sql" / f"{name}.sql").read_text("utf-8").strip()


def lost(why: str) -> psycopg.OperationalError:
    """What psycopg raises when a connection breaks."""
    return psycopg.OperationalError(f"simulated: {why}")


@dataclass(slots=True)
class Disturbance:
    """What is done to a request: `act` at its n-th boundary (before each statement, and before each commit; at the
    latest before its first commit), `afterwards` once it has committed."""

    boundary: int = 0
    act: Callable[[], None] | None = None
    afterwards: Callable[[], None] | None = None


class _Cursor(psycopg.Cursor[Any]):
    """Stops at the boundary before each statement."""

    before_statement: Callable[[], None]

    def execute(self, *args: Any, **kwargs: Any) -> "_Cursor":
        self.before_statement()
        return super().execute(*args, **kwargs)


class Session(Database):
    """One connection. It is lent to an actor for one request at a time."""

    def __init__(self, dsn: str, name: str, on_commit: OnCommit) -> None:
        super().__init__(dsn, name)
        self.actor: Actor | None = None
        self.now: datetime | None = None
        self.disturbance = Disturbance()
        self.is_open = False
        self.is_lent = False
        self.on_commit = on_commit
        self.claimed: dict[Key, int] = {}
        """What the request that it is lent for has claimed."""
        self._settings: dict[str, str] | None = None
        self._has_begun = False
        """Whether the next transaction has begun already: with the end of the last one, which spares a round trip."""
        self._passed = 0
        self._fate: BaseException | None = None

    def prepare(self, settings: dict[str, str]) -> None:
        """Begin a history, under these settings of the planner."""
        if settings == self._settings:
            return
        connection = self.connected()
        if self._settings is None:
            connection.prepare_threshold = 0
            connection.pgconn.prepare(WRITTEN, sql("commit").encode())
        elif self._has_begun:  # what is set in a transaction is undone when that is rolled back
            self._say(b"COMMIT")
            self._has_begun = False
        statements = [f"SET {name} = '{value}'" for name, value in (SETTINGS | settings).items()]
        connection.execute("; ".join(["RESET ALL", *statements, "DISCARD PLANS"]), prepare=False)
        self._settings = settings

    @contextmanager
    def lent(self, actor: Actor, now: datetime, disturbance: Disturbance) -> Iterator["Session"]:
        """One request of this actor's is run in here."""
        self.actor, self.now, self.disturbance = actor, now, disturbance
        self._passed = 0
        self._fate = None
        self.claimed = {}
        self.is_lent = True
        try:
            yield self
        finally:
            self.is_lent = False

    def break_off(self, fate: BaseException) -> None:
        """The connection is gone. An open transaction is rolled back now; its holder learns of it by `fate`."""
        if self.is_open:
            self._fate = fate
            self._end(b"ROLLBACK AND CHAIN")

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Cursor[Any]]:
        connection = self.connected()
        if not self._has_begun:
            self._say(b"BEGIN")
            self._has_begun = True
        self.is_open = True
        try:
            with _Cursor(connection) as cursor:
                cursor.before_statement = self._boundary
                yield cursor
            self._boundary(is_last=True)
        except BaseException:
            if self.is_open:
                self._end(b"ROLLBACK AND CHAIN")
            raise
        self._commit()

    @contextmanager
    def statement(self) -> Iterator[psycopg.Cursor[Any]]:
        """Its one statement can be struck before and after, like that of any other transaction."""
        with self.transaction() as cursor:
            yield cursor

    def rows(self) -> tuple[Row, ...]:
        """Every run, as this session sees it."""
        return tuple(Row(*row) for row in self.connected().execute(sql("runs")).fetchall())

    def _boundary(self, is_last: bool = False) -> None:
        due = self._passed == self.disturbance.boundary or (is_last and self._passed < self.disturbance.boundary)
        self._passed += 1
        act, self.disturbance.act = (self.disturbance.act, None) if due else (None, self.disturbance.act)
        if act is not None:
            act()
        if self._fate is not None:
            raise self._fate

    def _commit(self) -> None:
        """The rows are read before the commit: nobody else can commit in between."""
        has_written, is_durable = self._written()
        rows = self.rows() if has_written else ()
        self._end(b"COMMIT AND CHAIN")
        if has_written:
            assert self.actor is not None, "it is lent"  # noqa: S101
            assert self.now is not None, "it is lent"  # noqa: S101
            self.claimed |= self.on_commit(Commit(self.actor, self.now, is_durable, rows))
        afterwards, self.disturbance.afterwards = self.disturbance.afterwards, None
        if afterwards is not None:
            afterwards()

    def _written(self) -> tuple[bool, bool]:
        """Whether the open transaction has written anything, and whether its commit waits for the disk."""
        result = self.connected().pgconn.exec_prepared(WRITTEN, None)
        if result.status != ExecStatus.TUPLES_OK:
            raise errors.error_from_result(result)
        return result.get_value(0, 0) == b"t", result.get_value(0, 1) == b"t"

    def _end(self, command: bytes) -> None:
        self.is_open = False
        self._say(command)

    def _say(self, command: bytes) -> None:
        """Straight through libpq, at a third of the price."""
        result = self.connected().pgconn.exec_(command)
        if result.status != ExecStatus.COMMAND_OK:
            raise psycopg.OperationalError(result.get_error_message())


class Sessions:
    """The connections of all histories, by the name of who holds them: made once, handed out again and again."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._all: dict[str, list[Session]] = {}
        self._taken: set[Session] = set()
        self._settings: dict[str, str] = {}
        self._ground = Database(dsn, "reproq simulate")
        """A connection that nothing happens to."""
        self._on_commit: OnCommit = lambda commit: {}

    def begin_history(self, settings: dict[str, str], on_commit: OnCommit) -> None:
        """Everything is free again, under these settings."""
        self._settings, self._on_commit = settings, on_commit
        self._taken.clear()

    def take(self, name: str) -> Session:
        """A session of this name that nobody holds."""
        mine = self._all.setdefault(name, [])
        session = next((one for one in mine if one not in self._taken), None)
        if session is None:
            session = Session(self.dsn, name, self._on_commit)
            mine.append(session)
        self._taken.add(session)
        session.on_commit = self._on_commit
        session.prepare(self._settings)
        return session

    def give_back(self, session: Session) -> None:
        """Its holder is gone. One that is still lent is not handed out before the next history."""
        if not session.is_lent:
            self._taken.discard(session)

    def taken(self) -> list[Session]:
        """The sessions that somebody holds."""
        return list(self._taken)

    def clear(self) -> None:
        """Delete what the last history has left behind."""
        self._ground.connected().execute(sql("clear"))

    def put_back(self, rows: list[Row]) -> None:
        """Make these runs what they once were: nobody has committed anything since."""
        if rows:
            connection = self._ground.connected()
            with connection.transaction():
                connection.execute(sql("forget"), {"ids": [row.id for row in rows]})
                connection.execute(sql("put_back"), {"images": [row.image for row in rows]})

    def close(self) -> None:
        """Close every connection."""
        for session in (one for mine in self._all.values() for one in mine):
            session.close()
        self._all.clear()
        self._ground.close()
