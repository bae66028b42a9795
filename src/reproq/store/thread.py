"""The store thread: owns the worker's connection, answers one request at a time, and waits out a lost database.

So a database call that hangs delays no child's timeout, no pipe and no signal. The loop never calls libpq.
"""

import queue
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from selectors import BaseSelector
from typing import Final, Protocol

import psycopg

from reproq.store.db import Database, address, is_outage
from reproq.store.requests import Answer, Clock, Request, RescueAnswer, RescueRuns
from reproq.store.wakeup import Wakeup, take_all

MAX_WAITING_REQUESTS: Final = 64
FIRST_RETRY_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0


class Store(Protocol):
    """Where the loop puts requests and finds answers."""

    def start(self, selector: BaseSelector) -> None: ...
    def submit(self, request: Request) -> None: ...
    def take_answers(self) -> list[Answer]: ...
    def take_notices(self) -> list[str]: ...
    def close(self) -> None: ...


def void_answer(request: Request, waited_seconds: float) -> Answer | None:
    """The answer to a request that was asked so long ago that it must not be tried any more; None for all others."""
    if isinstance(request, RescueRuns) and waited_seconds > request.patience_seconds:
        return Answer(request, RescueAnswer([], 0.0))
    return None


def answer_once(request: Request, database: Database, now: Clock) -> Answer:
    """One try at a request. Raises psycopg.Error when waiting may mend it.

    What can never succeed is an answer, too: the loop raises its error, where a thread that died would hang it.
    """
    try:
        return Answer(request, request.run(database, now))
    except psycopg.Error as error:
        if is_outage(error):
            raise
        return Answer(request, error=error)
    except Exception as error:
        return Answer(request, error=error)


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
    """Answers in a thread of its own, in the order of the requests, and wakes the loop through a socket.

    While the database is away it is tried again after growing pauses, of at most `longest_pause_seconds`.
    """

    def __init__(self, database: Database, longest_pause_seconds: float = LONGEST_PAUSE_SECONDS) -> None:
        self._database = database
        self._longest_pause_seconds = longest_pause_seconds
        self._requests: queue.Queue[tuple[Request, float] | None] = queue.Queue(MAX_WAITING_REQUESTS)
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._notices: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._is_lost = False
        self._stopping = threading.Event()
        self._wakeup = Wakeup()
        self._thread = threading.Thread(target=self._serve, name="reproq-store", daemon=True)

    def start(self, selector: BaseSelector) -> None:
        """Start the thread; the selector learns the descriptor that turns readable with every answer."""
        self._wakeup.register(selector)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Queue a request. The loop keeps at most one of a kind in flight, so the bound is never met; if it is, a bug
        raises queue.Full rather than blocking the loop."""
        self._requests.put_nowait((request, time.monotonic()))

    def take_answers(self) -> list[Answer]:
        """The answers since the last call, in order."""
        return take_all(self._answers)

    def take_notices(self) -> list[str]:
        """Sentences for the log: the database was lost, it is back."""
        return take_all(self._notices)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Answer what is queued unless the database is away, then end the thread."""
        if self._thread.is_alive():
            self._stopping.set()
            with suppress(queue.Full):  # then the thread hangs in a call, and ends with the process
                self._requests.put(None, timeout=timeout_seconds)
            self._thread.join(timeout_seconds)
        self._wakeup.close()

    def _serve(self) -> None:
        while (asked := self._requests.get()) is not None:
            answer = self._answer(*asked)
            if answer is None:
                break
            self._answers.put(answer)
            self._wakeup.wake()
        self._database.close()

    def _answer(self, request: Request, asked_s: float) -> Answer | None:
        """The answer, however long it takes. None when the loop closed the store while the database was away."""
        wait_seconds = FIRST_RETRY_SECONDS
        while True:
            if (answer := void_answer(request, time.monotonic() - asked_s)) is not None:
                return answer
            try:
                answer = answer_once(request, self._database, None)
            except psycopg.Error as error:
                self._tell_lost(error)
            else:
                if answer.error is None:
                    self._tell_back()
                return answer
            if self._stopping.wait(wait_seconds * random.uniform(0.8, 1.2)):  # noqa: S311 - spreads reconnects
                return None
            wait_seconds = min(wait_seconds * 2, self._longest_pause_seconds)

    def _tell_lost(self, error: psycopg.Error) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._notice(f"database lost, retrying until it is back: {address(self._database.dsn)}: {error}")

    def _tell_back(self) -> None:
        if self._is_lost:
            self._is_lost = False
            self._notice(f"database back: {address(self._database.dsn)}")

    def _notice(self, text: str) -> None:
        self._notices.put(text)
        self._wakeup.wake()
