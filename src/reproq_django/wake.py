"""Wakes idle workers when a transaction has committed: once for each of its queues, and only where one waits.

Asked any sooner, a worker that falls idle while the transaction is open would miss it: it does not see the run yet, and
the producer has seen it busy.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from django.db import connections, transaction

from reproq.store import runs

HORIZON_SECONDS: Final = 3600.0
"""Runs that fall due later than this wake nobody: no worker goes without a look for longer."""


class Wake:
    """What is called after a commit. The calls of one transaction share what has been woken."""

    def __init__(self, alias: str, queue_names: frozenset[str], woken: set[str]) -> None:
        self.alias = alias
        self.queue_names = queue_names
        self.woken = woken
        self.__qualname__ = f"{__name__}.Wake"  # Django 6.0 logs a hook that failed by it, and asks no further

    def __call__(self) -> None:
        if names := self.queue_names - self.woken:
            self.woken |= names
            with connections[self.alias].cursor() as cursor:
                runs.wake(cursor, sorted(names))


def wake_after_commit(alias: str, queue_names: Iterable[str]) -> None:
    """Wake the idle workers of these queues when what was written through the alias is visible: now in autocommit, else
    at the commit, and never after a rollback. A failure is logged by Django, and costs the time until the next poll."""
    connection = connections[alias]
    names = frozenset(queue_names)
    if not connection.in_atomic_block and not connection.get_autocommit():
        return  # a transaction that Django does not manage: nobody will tell us of its commit
    last = _last_of(connection.run_on_commit) if connection.in_atomic_block else None
    if last is not None and names <= last[1].queue_names and last[0] <= set(connection.savepoint_ids):
        return  # it will be called if we would be
    wake = Wake(alias, names, set() if last is None else last[1].woken)
    transaction.on_commit(wake, using=alias, robust=True)


def _last_of(registered: Sequence[tuple[set[str], object, bool]]) -> tuple[set[str], Wake] | None:
    """The newest Wake of the open transaction, and the savepoints that it hangs on."""
    found = ((savepoints, call) for savepoints, call, _ in reversed(registered) if isinstance(call, Wake))
    return next(found, None)


def worth_waking_for(enqueued_at: datetime, run_after: datetime | None) -> bool:
    """Whether a worker has something to do about a run within `HORIZON_SECONDS`."""
    return run_after is None or (run_after - enqueued_at).total_seconds() <= HORIZON_SECONDS
