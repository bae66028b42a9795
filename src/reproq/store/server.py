"""What a PostgreSQL server says of itself, for those who ask whether it fits."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reproq.errors import MissingGrant, NotMigrated
from reproq.store.db import Database
from reproq.store.statements import Cursor, fetch_one
from reproq.store.workers import installation

CHANNEL: Final = "reproq_doctor"
LOOK_SECONDS: Final = 0.1
"""How often whoever awaits a notification looks whether that is over."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """`epoch_seconds` is the server's clock; `connections_allowed` leaves out what is reserved for superusers."""

    version_number: int
    version: str
    encoding: str
    epoch_seconds: float
    connections_allowed: int
    connections_used: int
    is_durable: bool
    is_standby: bool


def server_facts(cursor: Cursor) -> ServerFacts:
    """Ask once."""
    row = fetch_one(cursor, "server_facts", {})
    assert row is not None, "the statement gives one row"  # noqa: S101
    return ServerFacts(*row)


def whereabouts(database: Database) -> tuple[str, str]:
    """What tells a database from others, in words: the server's name for it, and ours; each empty where our role may
    not ask. A copy of a database has the same of ours."""
    return _asked(database, _of_the_server), _asked(database, lambda cursor: f"installation {installation(cursor)}")


def _of_the_server(cursor: Cursor) -> str:
    row = fetch_one(cursor, "whereabouts", {})
    return "" if row is None else str(row[0])


def _asked(database: Database, ask: Callable[[Cursor], str]) -> str:
    try:
        with database.transaction() as cursor:
            return ask(cursor)
    except (MissingGrant, NotMigrated):
        return ""


def listen_works(
    database: Database,
    patience_seconds: float,
    is_over: Callable[[], bool] = lambda: False,
    speaker: Database | None = None,
) -> bool:
    """Whether what somebody (`speaker`; else a twin of ours) notifies reaches us: through a pooler in transaction mode
    it does not. False, too, soon after `is_over` says that nobody wants to know any more.

    Somebody else: what a session notifies itself comes with the answer to its NOTIFY, which a pooler passes on, too.
    The last look begins when the time is up: whoever was stopped for so long has not looked at what came meanwhile.
    """
    connection, other = database.connected(), speaker or database.twin()
    connection.execute(f"LISTEN {CHANNEL}")
    try:
        other.connected().execute(f"NOTIFY {CHANNEL}")
        deadline = time.monotonic() + patience_seconds
        is_last = False
        while not is_over() and not is_last:
            is_last = time.monotonic() >= deadline
            if any(True for _ in connection.notifies(timeout=LOOK_SECONDS, stop_after=1)):
                return True
        return False
    finally:
        other.close()
        connection.execute(f"UNLISTEN {CHANNEL}")
