"""A lane of the store: a thread with a connection of its own, which answers requests one by one and waits out a lost
database. It refuses to know of any other lane but whether that has lost the database.
"""

import queue
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import psycopg
from psycopg.errors import QueryCanceled

from reproq.errors import AddressRefused
from reproq.store.db import Database, is_lost, is_outage
from reproq.store.requests import Answer, Clock, Request
from reproq.store.rescues import RescueAnswer, RescueRuns
from reproq.store.unreachable import Kind, kind, reason

MAX_WAITING_REQUESTS: Final = 64
FIRST_RETRY_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 1.5
"""Between two tries to reach a lost database: it is in use again within two seconds of its return."""
REFUSED_FOR_SECONDS: Final = 300.0
"""How long a server may go on refusing a worker that it, or one before it, has let in. After that it is to be started
anew: its password was changed, most likely."""


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
        # Cancelled by the role's statement_timeout, say, while somebody locks the table: no reason to end our runs.
        if is_outage(error) or isinstance(error, QueryCanceled):
            raise
        return Answer(request, error=error)
    except Exception as error:
        return Answer(request, error=error)


class Contact:
    """What the lanes of a store know together of the database: in what way it is lost, told once a change, and how
    often it was. Any of their threads may call."""

    def __init__(self, place: str, tell: Callable[[str], None]) -> None:
        self.losses = 0
        self.changes = 0
        """How often something was told of it."""
        self._place = place
        self._tell = tell
        self._was_made = False
        self._refused_since: float | None = None
        self._kind: Kind | None = None
        self._lost_to: set[object] = set()
        self._without: set[object] = set()
        self._remarked = ""
        self._lock = threading.Lock()

    def waits_out(self, error: Exception, now: float) -> bool:
        """Whether to try again though the server refuses us. Where it never took us the address is wrong, but one that
        took us before may be about to be replaced: a fail-over starts servers that know no password yet."""
        with self._lock:
            if not (isinstance(error, AddressRefused) and self._was_made):
                return False
            if self._refused_since is None:
                self._refused_since = now
            return now - self._refused_since <= REFUSED_FOR_SECONDS

    def lost(self, lane: object, error: Exception, changes: int) -> None:
        """This lane has no answer. `changes` is how many there were when it asked: what it met before the newest one is
        no news any more, and of an outage that has ended since not even a loss."""
        with self._lock:
            is_gone = is_lost(error)
            if is_gone and not isinstance(error, AddressRefused):
                self._refused_since = None  # what is away now may be another server when it is there again
            if is_gone and not self._without and changes != self.changes:
                return
            if is_gone and not self._lost_to:
                self.losses += 1
            met = kind(error) if is_gone else Kind.BUSY
            if not self._without or (changes == self.changes and met is not self._kind):
                self._change(f"{self._loss(met)}: {self._place}: {reason(error)}")
                self._kind = met
            self._without.add(lane)
            if is_gone:
                self._lost_to.add(lane)

    def _loss(self, now: Kind) -> str:
        """How a line begins that says of which kind the loss is now."""
        if now is Kind.BUSY:
            return "database refuses, retrying until it does not"
        if self._kind in (None, Kind.BUSY):
            return "database lost, retrying until it is back"
        if now is Kind.REFUSES:
            return f"database still lost, it refuses us, retrying for {REFUSED_FOR_SECONDS:.0f} s"
        return "database still lost, retrying until it is back"

    def _change(self, text: str) -> None:
        self.changes += 1
        self._tell(text)

    def back(self, lane: object, host: Callable[[], str]) -> None:
        """This lane has had an answer; `host` names the one of several that gave it."""
        if self._was_made and lane not in self._without:
            return
        with self._lock:
            self._was_made = True
            self._refused_since = None
            self._lost_to.discard(lane)
            if lane in self._without:
                self._without.discard(lane)
                if not self._without:
                    self._kind = None
                    at = host()
                    self._change(f"database back: {self._place}" + (f"; {at}, answers" if at else ""))

    def remark(self, text: str) -> None:
        """Something is amiss, though it answers; told once."""
        if not text:
            return
        with self._lock:
            if text != self._remarked:
                self._remarked = text
                self._tell(text)


class Lane:
    """One thread with one connection, which answers its requests in their order.

    While the database is away it is tried again after growing pauses, of at most `longest_pause_seconds`.
    """

    def __init__(
        self,
        name: str,
        database: Database,
        contact: Contact,
        answered: Callable[[Answer], None],
        longest_pause_seconds: float,
    ) -> None:
        self._database = database
        self._contact = contact
        self._answered = answered
        self._longest_pause_seconds = longest_pause_seconds
        self._losses = 0
        self._requests: queue.Queue[tuple[Request, float] | None] = queue.Queue(MAX_WAITING_REQUESTS)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Queue a request. Raises queue.Full rather than block."""
        self._requests.put_nowait((request, time.monotonic()))

    def stop(self) -> None:
        """Answer what is queued unless the database is away, then end."""
        if self._thread.is_alive():
            self._stopping.set()
            with suppress(queue.Full):  # then the thread hangs in a call, and ends with the process
                self._requests.put_nowait(None)

    def join(self, timeout_seconds: float) -> None:
        """Wait for the end."""
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _serve(self) -> None:
        while (asked := self._requests.get()) is not None:
            answer = self._answer(*asked)
            if answer is None:
                break
            self._answered(answer)
        self._database.close()

    def _answer(self, request: Request, asked_s: float) -> Answer | None:
        """The answer, however long it takes. None when the loop closed the store while the database was away."""
        wait_seconds = FIRST_RETRY_SECONDS
        while True:
            if (answer := void_answer(request, time.monotonic() - asked_s)) is not None:
                return answer
            if self._losses != self._contact.losses:  # what ended another lane's connection has ended this one's, too
                self._losses = self._contact.losses
                self._database.close()
            changes = self._contact.changes
            try:
                answer = answer_once(request, self._database, None)
            except psycopg.Error as error:
                self._contact.lost(self, error, changes)
            else:
                if answer.error is None:
                    self._contact.back(self, self._database.host)
                    self._contact.remark(self._database.remark)
                if answer.error is None or not self._contact.waits_out(answer.error, time.monotonic()):
                    return answer
                self._contact.lost(self, answer.error, changes)
            if self._stopping.wait(wait_seconds * random.uniform(0.8, 1.2)):  # noqa: S311 - spreads reconnects
                return None
            wait_seconds = min(wait_seconds * 2, self._longest_pause_seconds)
