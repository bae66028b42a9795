"""The store as the loop sees it: requests go in, answers come out, and a database call that hangs delays no child's
timeout, no pipe and no signal. The loop never calls libpq.
"""

import queue
import time
from collections.abc import Callable
from selectors import BaseSelector
from typing import Protocol

from reproq.store.db import Database, address
from reproq.store.lane import LONGEST_PAUSE_SECONDS, Contact, Lane
from reproq.store.requests import Answer, Clock, Request, takes_in
from reproq.store.wakeup import Wakeup, take_all


class Store(Protocol):
    """Where the loop puts requests and finds answers."""

    def start(self, selector: BaseSelector) -> None: ...
    def submit(self, request: Request) -> None: ...
    def take_answers(self) -> list[Answer]: ...
    def take_notices(self) -> list[str]: ...
    def close(self) -> None: ...


class DirectStore:
    """Answers at once, in the caller's thread: for tests. `clock` gives the statements' time."""

    def __init__(self, database: Database, clock: Callable[[], Clock] = lambda: None) -> None:
        self._database = database
        self._clock = clock
        self._answers: list[Answer] = []

    def start(self, selector: BaseSelector) -> None:
        """Nothing to register."""

    def submit(self, request: Request) -> None:
        self._answers.append(Answer(request, request.run(self._database, self._clock())))

    def take_answers(self) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers

    def take_notices(self) -> list[str]:
        return []

    def close(self) -> None:
        self._database.close()


class StoreThread:
    """Answers in threads of its own and wakes the loop through a socket: one lane takes work in, the other keeps and
    ends what is held, each in the order of its requests. So claims and finalises overlap, in the server as in here."""

    def __init__(self, database: Database, longest_pause_seconds: float = LONGEST_PAUSE_SECONDS) -> None:
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._notices: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._wakeup = Wakeup()
        contact = Contact(address(database.dsn), self._notice)
        self._holding = Lane("reproq-store", database, contact, self._answered, longest_pause_seconds)
        self._intake = Lane("reproq-claims", database.twin(), contact, self._answered, longest_pause_seconds)

    def start(self, selector: BaseSelector) -> None:
        """Start the threads; the selector learns the descriptor that turns readable with every answer."""
        self._wakeup.register(selector)
        self._holding.start()
        self._intake.start()

    def submit(self, request: Request) -> None:
        """Queue a request. The loop keeps at most one of a kind in flight, so the bound is never met; if it is, a bug
        raises queue.Full rather than blocking the loop."""
        lane = self._intake if takes_in(request) else self._holding
        lane.submit(request)

    def take_answers(self) -> list[Answer]:
        """The answers since the last call; those of one lane in order."""
        return take_all(self._answers)

    def take_notices(self) -> list[str]:
        """Sentences for the log: the database was lost, it is back."""
        return take_all(self._notices)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Answer what is queued unless the database is away, then end the threads."""
        until = time.monotonic() + timeout_seconds
        for lane in (self._holding, self._intake):
            lane.stop()
        for lane in (self._holding, self._intake):
            lane.join(max(0.0, until - time.monotonic()))
        self._wakeup.close()

    def _answered(self, answer: Answer) -> None:
        self._answers.put(answer)
        self._wakeup.wake()

    def _notice(self, text: str) -> None:
        self._notices.put(text)
        self._wakeup.wake()
