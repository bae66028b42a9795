"""What a Task alone decides about its runs, worked out once: a project's Tasks are few, and are enqueued often.

It knows nothing of arguments and of databases.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.tasks import Task

from reproq.store.runs import Terms

MAX_PREPARED: Final = 256
"""Tasks, most of them a module's own; those that `.using()` makes for one call push each other out."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A valid Task. `as_stored` is how the results of its runs show it, unless they have a time of their own;
    `surely_taken` are the numbers of positional arguments that its function takes without any by keyword."""

    task: Task
    task_path: str
    terms: Terms
    as_stored: Task
    surely_taken: range


class PreparedTasks:
    """Remembers what `prepare` says of Tasks, by their identity: a Task never changes, and comparing two costs more."""

    def __init__(self, prepare: Callable[[Task], Prepared]) -> None:
        self._prepare = prepare
        self._known: dict[int, Prepared] = {}  # it keeps the Tasks, and so their ids, alive

    def of(self, task: Task) -> Prepared:
        """What `prepare` says, or has said; whether a time is allowed depends on the moment, and is asked each time."""
        known = self._known.get(id(task))
        if known is not None:
            return known
        prepared = self._prepare(task)
        if task.run_after is None:
            if len(self._known) >= MAX_PREPARED:
                self._known.clear()
            self._known[id(task)] = prepared
        return prepared
