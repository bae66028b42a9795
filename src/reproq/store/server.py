"""What a PostgreSQL server says of itself, for those who ask whether it fits."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reproq.store.db import Database
from reproq.store.statements import Cursor, fetch_one

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


def listen_works(database: Database, patience_seconds: float, is_over: Callable[[], bool] = lambda: False) -> bool:
    """Whether what somebody notifies reaches us: through a pooler in transaction mode it does not. False, too, soon
    after `is_over` says that nobody wants to know any more.

    Somebody else: what a session notifies itself comes with the answer to its NOTIFY, which a pooler passes on, too.
    The last look begins when the time is up: whoever was stopped for so long has not looked at what came meanwhile.
    """
    connection, other = database.connected(), database.twin()
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
