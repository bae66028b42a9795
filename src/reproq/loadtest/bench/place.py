"""Where a bench works: a database that nobody else works in, a queue of its own, and the way back to how it was.

Rows are its own if they are in its queue, whose name no other bench draws, or if it has noted their ids.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

from reproq.config import Config
from reproq.errors import ConfigurationError, ReproqError
from reproq.loadtest.verify import Bounds, Report
from reproq.loadtest.verify import verify as verify_database
from reproq.store.arrays import numbers
from reproq.store.db import Database, address, opened
from reproq.store.workers import installation

PREFIX: Final = "reproq-bench-"
MOST_COUNTED: Final = 10_000
VERIFY_PAUSE_SECONDS: Final = 1.0


class Stopped(ReproqError):
    """A signal has ended the bench between two steps."""


class BenchFailed(ReproqError):
    """A measure could not be taken, or what it left is not what was enqueued: there is no figure."""


class NotClean(ReproqError):
    """`reproq verify` found something after a drain: a figure of a broken queue would mean nothing."""


@cache
def sql(name: str) -> str:
    """The text of `sql/<name>.sql` of this folder, without the sentence on top."""
    text = (files("reproq.loadtest.bench") / "sql" / f"{name}.sql").read_text("utf-8")
    return text.partition("\n")[2].strip()


def ask(database: Database, name: str, params: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """The rows of one statement, in a transaction of its own."""
    with database.transaction() as cursor:
        cursor.execute(sql(name), params)
        return cursor.fetchall() if cursor.description else []


@dataclass(slots=True, kw_only=True)
class Place:
    """A migrated database for the length of a bench. `go_on` raises Stopped once a signal has come; `say` tells the
    person who waits what is being done; `skipped` are invariants that are not asked."""

    database: Database
    config: Config
    times: int
    skipped: frozenset[str] = frozenset()
    go_on: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda text: None
    queue: str = field(default_factory=lambda: PREFIX + secrets.token_hex(4))
    own_ids: list[int] = field(default_factory=list)
    _began_s: float = field(default_factory=time.monotonic)

    def check(self) -> int:
        """How many runs are there, up to `MOST_COUNTED` + 1.

        Raises NotMigrated, and ConfigurationError where workers are at work: they would take what is measured.
        """
        with self.database.transaction() as cursor:
            installation(cursor)
        ((runs, workers),) = ask(self.database, "found", {"now": None})
        if workers:
            raise ConfigurationError(
                f"{workers} workers are at work at {address(self.database.dsn)}, and would take the runs of the bench; "
                "stop them first, or give a database of its own by --dsn"
            )
        return int(runs)

    def refuse_waiting(self, queue: str) -> None:
        """Raise ConfigurationError where runs that are not ours wait in a queue that a worker of ours is to serve."""
        ((count, _),) = ask(self.database, "waiting", {"queue": queue})
        if count:
            raise ConfigurationError(
                f"{count} runs wait in the queue {queue!r} at {address(self.database.dsn)}, and a worker of the bench "
                "would run them; let a worker end them first, or give a database of its own by --dsn"
            )

    def note(self, ids: Iterable[int]) -> list[int]:
        """These runs are ours, in whatever queue they are."""
        found = list(ids)
        self.own_ids += found
        return found

    def clear(self) -> None:
        """Delete what is ours, and let the table take its place again."""
        ask(self.database, "delete_workers", {"queue": self.queue})
        ask(self.database, "delete_queue", {"queue": self.queue})
        if self.own_ids:
            ask(self.database, "delete_runs", {"ids": numbers(self.own_ids)})
            self.own_ids.clear()
        self.vacuum()

    def vacuum(self) -> None:
        """Let the table take its place again, and its statistics be those of what is there."""
        self.database.connected().execute("VACUUM (ANALYZE) task_runs")

    def verify(self) -> None:
        """Ask every invariant about all that has happened since the bench began. Raises NotClean."""
        bounds = Bounds(lease_seconds=self.config.lease, pause_seconds=VERIFY_PAUSE_SECONDS)
        window_seconds = time.monotonic() - self._began_s + 60.0
        with opened(self.database.dsn, "reproq bench verify") as database:
            report = verify_database(database, bounds, window_seconds=window_seconds, skipped=self.skipped)
        if report.violated or not report.is_whole:
            raise NotClean(
                "\n".join(["after this drain `reproq verify` is not clean, so there is no figure:", *_told(report)])
            )


def _told(report: Report) -> Sequence[str]:
    broken = [
        f"{one.invariant.name}: {one.offences[0].subject}: {one.offences[0].what} (and {one.count - 1} more)"
        for one in report.violated
    ]
    return broken + [f"{one.invariant.name}: {one.unanswered}" for one in report.unanswered]
