"""Who holds the rows of runs: the sessions whose transactions lock them, as far as our role may see them.

It reads, and refuses to fail: who may see less is told less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg

from reproq.lifecycle import Key
from reproq.store.arrays import numbers
from reproq.store.db import Database, is_outage
from reproq.store.statements import Cursor, fetch_all


@dataclass(frozen=True, slots=True)
class Holder:
    """A transaction that holds a row: its session, or the name under which it was prepared; None is what nobody may
    tell us. As text, it says who that is."""

    pid: int | None = None
    application: str | None = None
    open_seconds: float | None = None
    prepared: str | None = None

    def __str__(self) -> str:
        age = "" if self.open_seconds is None else f", open for {self.open_seconds:.0f} s"
        if self.prepared is not None:
            return f"the prepared transaction {self.prepared}{age}"
        if self.pid is None:
            return "a transaction that locks its row"
        application = f" ({self.application})" if self.application else ""
        return f"the transaction of pid {self.pid}{application}{age}"

    @property
    def remedy(self) -> str:
        """What ends it; empty where that cannot be told."""
        if self.prepared is not None:
            return "COMMIT PREPARED or ROLLBACK PREPARED ends it"
        return "" if self.pid is None else f"SELECT pg_terminate_backend({self.pid}) ends it"


UNKNOWN: Final = Holder()


def holders(cursor: Cursor, run_ids: Sequence[int]) -> dict[int, Holder]:
    """Of these runs, those whose rows somebody holds just now, and who. A row that several share may be missing."""
    return {run_id: Holder(*found) for run_id, *found in fetch_all(cursor, "holders", {"ids": numbers(run_ids)})}


def visible_holders(database: Database, run_ids: Sequence[int]) -> dict[int, Holder]:
    """The same in a transaction of its own; nothing where the database refuses the question."""
    with database.statement() as cursor:
        try:
            return holders(cursor, run_ids)
        except psycopg.Error as error:
            if is_outage(error):
                raise
            return {}


@dataclass(frozen=True, slots=True)
class AskHolders:
    """Who holds the rows of these claims, by run. Asked when one was passed over, and then once."""

    held: tuple[Key, ...]

    def run(self, database: Database, now: datetime | None) -> dict[int, Holder]:
        return visible_holders(database, [run_id for run_id, _ in self.held])
