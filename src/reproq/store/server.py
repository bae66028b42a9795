"""What a PostgreSQL server says of itself, for those who ask whether it fits."""

from dataclasses import dataclass
from typing import Final

from reproq.store.db import Database
from reproq.store.statements import Cursor, fetch_one

CHANNEL: Final = "reproq_doctor"


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


def listen_works(database: Database, patience_seconds: float) -> bool:
    """Whether what somebody notifies reaches us: through a pooler in transaction mode it does not.

    Somebody else: what a session notifies itself comes with the answer to its NOTIFY, which a pooler passes on, too.
    """
    connection, other = database.connected(), database.twin()
    connection.execute(f"LISTEN {CHANNEL}")
    try:
        other.connected().execute(f"NOTIFY {CHANNEL}")
        return any(True for _ in connection.notifies(timeout=patience_seconds, stop_after=1))
    finally:
        other.close()
        connection.execute(f"UNLISTEN {CHANNEL}")
