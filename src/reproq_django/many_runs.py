"""Runs many tasks of a Django project in one process, one after the other: what the executor `pool` is told of Django.

Between two runs stands what Django itself does between two requests. It cannot undo what a task does to the process
(globals, working folder, environment): for that there is the executor `fork`.
"""

from typing import Any

from django.core.cache import caches
from django.db import connections, reset_queries
from django.db.backends.signals import connection_created

from reproq.child.run import nothing
from reproq.child.warming import Rehearsed
from reproq.lifecycle import Failure, Success
from reproq_django import executor
from reproq_django.named_task import TaskFinder


def setup() -> Rehearsed:
    """Import the project as every template does, and return what runs one payload of many."""
    executor.setup()
    notices = executor.wrong_schedules()
    return Rehearsed(ManyRuns().run, nothing, notices)


class ManyRuns:
    """What one process keeps from run to run: the tasks it knows, and whether it has ever opened a connection."""

    def __init__(self) -> None:
        self._find = TaskFinder()
        self._has_connected = False
        connection_created.connect(self._on_connection)

    def run(self, message: dict[str, Any]) -> Success | Failure:
        """Run the task that a payload names, and say how that ended. Connections outlive it as CONN_MAX_AGE says."""
        if self._has_connected:  # else there is nothing to look after, and looking costs a fifth of an empty run
            reset_queries()
            leave_broken_connections()
        try:
            return executor.execute(message, self._find)
        finally:
            if self._has_connected:
                end_connections()
            if "settings" in vars(caches):  # which they read when one is asked for: looking at each costs more
                caches.close_all()

    def _on_connection(self, **_: Any) -> None:
        self._has_connected = True


def leave_broken_connections() -> None:
    """A connection that was kept is asked whether it still lives: the database may have been started again since."""
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()
        if connection.connection is not None and not connection.is_usable():
            connection.close()


def end_connections() -> None:
    """Close what has reached its CONN_MAX_AGE (0: at once) or is broken, and what a task left in a transaction."""
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            connection.close()
            del connections[connection.alias]  # Django would hold the new connection for one of the old transaction
        else:
            connection.close_if_unusable_or_obsolete()
