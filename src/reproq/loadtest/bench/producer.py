"""What a bench asks of a project: to enqueue as its own code does. The engine knows no Django; who does keeps this."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Producer(Protocol):
    """A project's own way to enqueue. Results are opaque here, so that a timed call does nothing that a project's would
    not; `ids` reads them afterwards."""

    @property
    def queue(self) -> str:
        """The queue that its runs go to."""

    def no_op(self, number: int) -> Any:
        """Enqueue one run of a task that does nothing, with a text of 100 characters."""

    def no_ops(self, count: int) -> Sequence[Any]:
        """Enqueue so many of them by one call."""

    def first_line(self, delay_seconds: float | None = None) -> Any:
        """Enqueue a run that returns CLOCK_MONOTONIC as it was at its first line, due after a delay."""

    def transaction(self) -> AbstractContextManager[Any]:
        """A transaction of the project, committed at the end of the block."""

    def ids(self, results: Sequence[Any]) -> list[int]:
        """The runs' ids in the database."""
