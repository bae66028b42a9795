"""Whether a pooler is in between, and what is wrong with what somebody said of it. It connects to nothing."""

from typing import Any, Final

import psycopg
from psycopg import errors

from reproq.store.statements import fetch_one

STATEMENTS_LOST: Final = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)
"""What was prepared is not there, or somebody else's is: the session has changed between two statements."""


def is_pooled(connection: psycopg.Connection[Any]) -> bool:
    """Whether something in between has sessions of its own: the server was not told of ours, nor we of its process."""
    with connection.cursor() as cursor:
        return fetch_one(cursor, "backend_pid", {}) != (connection.info.backend_pid,)


def mismatch(said: str, pooled: bool, place: str) -> str:
    """What is wrong with the knob, whose value is `said`, where a pooler is there or not; empty where it fits.

    That is no error: either works with some loss, and a pooler that keeps sessions looks like one that does not.
    """
    if said == "on" and not pooled:
        return (
            f"pooler = on, but the server itself answers at {place}: nothing is prepared and NOTIFY is not heard, "
            "for no gain; set pooler = auto"
        )
    if said == "off" and pooled:
        return (
            f"pooler = off, but a pooler answers at {place}: one in transaction mode loses what is prepared; "
            "set pooler = auto, unless it keeps a session for each client"
        )
    return ""


def statements_lost(said: str, place: str, error: psycopg.Error) -> str:
    """What to do when prepared statements get lost."""
    return (
        f"pooler = {said}, but our session with {place} is not our own ({error.diag.message_primary}), as behind a "
        f"pooler in transaction mode; set pooler = {'auto' if said == 'off' else 'on'}"
    )
