"""Stores the ends of claims so that no row holds up the others: what is refused for one of them is halved."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import psycopg
from psycopg.errors import LockNotAvailable

from reproq.lifecycle import Key, Kind, Status, Verdict, failure_of_kind
from reproq.output import NOTHING
from reproq.store.claims import lock_ours, still_ours
from reproq.store.db import is_bad_row
from reproq.store.finalising import Finalisation, finalize, takes_one_statement


@dataclass(frozen=True, slots=True)
class FinalizeAnswer:
    """The claims that were ours and are stored, each with what became of its run; those whose verdict the database
    refused and why: a replacement is stored for such a one, unless that was refused too; and those that could not be
    stored yet, since somebody holds their rows."""

    stored: dict[Key, Status] = field(default_factory=dict)
    refused: dict[Key, str] = field(default_factory=dict)
    held_up: set[Key] = field(default_factory=set)


class Transactions(Protocol):
    """Where ends are stored: a database, or a transaction that is open already."""

    def transaction(self) -> AbstractContextManager[psycopg.Cursor[Any]]: ...
    def statement(self) -> AbstractContextManager[psycopg.Cursor[Any]]: ...


class Within:
    """Savepoints of one transaction: what is refused goes, the locks that were taken before stay."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Cursor[Any]]:
        with self._cursor.connection.transaction():
            yield self._cursor

    statement = transaction


MAX_PART_BYTES: Final = 16 * 1024 * 1024
"""Of text in one transaction: 500 values of the largest size allowed would not fit into PostgreSQL's 1 GB message."""


def parts(batch: tuple[Finalisation, ...]) -> list[tuple[Finalisation, ...]]:
    """A batch in parts that one transaction each can hold."""
    made: list[list[Finalisation]] = [[]]
    held = 0
    for item in batch:
        if made[-1] and held + item.size > MAX_PART_BYTES:
            made.append([])
            held = 0
        made[-1].append(item)
        held += item.size
    return [tuple(part) for part in made if part]


def store_ends(
    database: Transactions, batch: tuple[Finalisation, ...], now: datetime | None, answer: FinalizeAnswer
) -> None:
    """Store these ends by one transaction, and add what became of them to `answer`. One that is refused for a row is
    halved, again and again, until that row stands alone; one whose row somebody holds is left out."""
    try:
        _store(database, batch, now, answer)
    except (psycopg.Error, UnicodeEncodeError) as error:
        if not is_bad_row(error):
            raise
        if len(batch) > 1:
            middle = len(batch) // 2
            store_ends(database, batch[:middle], now, answer)
            store_ends(database, batch[middle:], now, answer)
        elif (key := batch[0].key) not in answer.refused:
            answer.refused[key] = _reason(error)
            store_ends(database, (_replaced(batch[0], answer.refused[key]),), now, answer)
        # else the replacement was refused too: the lease brings the run back


def _store(
    database: Transactions, batch: tuple[Finalisation, ...], now: datetime | None, answer: FinalizeAnswer
) -> None:
    """One try, which waits for somebody's lock for a moment, but not twice: then what is free is locked first."""
    lone = takes_one_statement(batch)
    try:
        with database.statement() if lone else database.transaction() as cursor:
            answer.stored.update(finalize(cursor, batch, time.monotonic(), now))
    except LockNotAvailable:
        with database.transaction() as cursor:
            free = lock_ours(cursor, [item.key for item in batch])
            held_up = still_ours(cursor, [item.key for item in batch if item.key not in free])
            stored = finalize(cursor, [item for item in batch if item.key in free], time.monotonic(), now)
        answer.stored.update(stored)
        answer.held_up.update(held_up)


MAX_REASON: Final = 500
"""Characters of the database's refusal that are kept."""


def _reason(error: psycopg.Error | UnicodeEncodeError) -> str:
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return (said or str(error) or type(error).__name__)[:MAX_REASON]


def _replaced(item: Finalisation, reason: str) -> Finalisation:
    message = f"the attempt ended as {item.verdict.status}, but PostgreSQL refused to store it: {reason}"
    failure = failure_of_kind(Kind.BAD_RETURN, message)
    return item._replace(verdict=Verdict(Status.FAILED, error=failure), output=NOTHING)
