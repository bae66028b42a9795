"""Hears producers: a connection and a thread of its own that wait for NOTIFY, and hand on the queues that it names.

A thread of its own, because the store thread may be in the middle of a statement just then, and the loop calls no
libpq; it shares nothing with either but two queues and a socket. Polling stays the truth: whatever fails here is told
once, and costs latency only.
"""

import queue
import socket
import threading
from selectors import EVENT_READ, BaseSelector, DefaultSelector
from typing import Any, Final, Protocol

import psycopg

from reproq.errors import AddressRefused, ReproqError
from reproq.store.db import Database, address, is_outage
from reproq.store.server import listen_works
from reproq.store.unreachable import reason
from reproq.store.wakeup import Wakeup, take_all

CHANNEL: Final = "reproq_wake"
PROOF_SECONDS: Final = 5.0
"""How long a first NOTIFY of our own may take to arrive; behind a pooler in transaction mode it never does."""
FIRST_RETRY_SECONDS: Final = 0.5
LAST_RETRY_SECONDS: Final = 30.0


class ListenUnavailable(ReproqError):
    """LISTEN cannot work over this address."""


class Ear(Protocol):
    """What the loop knows of it."""

    def start(self, selector: BaseSelector) -> None:
        """Begin; the selector learns what turns readable when there is something to take."""

    @property
    def hears(self) -> int:
        """0 while nothing can be heard, else which time it is: what was named between two times is lost."""

    def take_heard(self) -> list[str]:
        """The queues that were named since the last call; an empty name stands for all."""

    def take_notices(self) -> list[str]:
        """Sentences for the log."""

    def close(self) -> None: ...


class Deaf:
    """Hears nothing: the worker polls."""

    hears = 0

    def start(self, selector: BaseSelector) -> None: ...

    def take_heard(self) -> list[str]:
        return []

    def take_notices(self) -> list[str]:
        return []

    def close(self) -> None: ...


class Listener:
    """Listens until it is closed, again whenever the connection was lost, and gives up where LISTEN cannot work."""

    def __init__(self, database: Database) -> None:
        self.hears = 0
        self._database = database
        self._times = 0
        self._told_lost = False
        self._heard: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._notices: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._wakeup = Wakeup()
        self._stopping = threading.Event()
        self._stop_read, self._stop_write = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="reproq-listener", daemon=True)

    def start(self, selector: BaseSelector) -> None:
        self._wakeup.register(selector)
        self._thread.start()

    def take_heard(self) -> list[str]:
        return take_all(self._heard)

    def take_notices(self) -> list[str]:
        return take_all(self._notices)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """End the thread; one that is connecting just now ends with the process."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._stop_write.send(b"\0")
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        self._wakeup.close()
        self._stop_read.close()
        self._stop_write.close()

    def _serve(self) -> None:
        wait_seconds = FIRST_RETRY_SECONDS
        while not self._stopping.is_set():
            try:
                connection = self._connected()
                wait_seconds = FIRST_RETRY_SECONDS
                self._hear(connection)
            except (psycopg.Error, OSError, ReproqError) as error:
                self.hears = 0
                self._database.close()
                if self._stopping.is_set():
                    return
                if not self._may_pass(error):
                    place = address(self._database.dsn)
                    self._tell(f"LISTEN does not work at {place}, the worker polls: {reason(error)}")
                    return
                if not self._told_lost:
                    self._told_lost = True
                    self._tell(f"LISTEN lost, the worker polls until it is back: {reason(error)}")
                self._stopping.wait(wait_seconds)
                wait_seconds = min(wait_seconds * 2, LAST_RETRY_SECONDS)
        self.hears = 0
        self._database.close()

    def _may_pass(self, error: Exception) -> bool:
        """Whether LISTEN may work again. A server that refuses us after we have listened may be one of a fail-over."""
        if isinstance(error, AddressRefused):
            return self._times > 0
        return isinstance(error, OSError) or is_outage(error)

    def _connected(self) -> psycopg.Connection[Any]:
        """A connection on which NOTIFY is known to arrive. Raises ListenUnavailable."""
        if not listen_works(self._database, PROOF_SECONDS, self._stopping.is_set):
            raise ListenUnavailable(
                "no notification arrives, as behind a pooler in transaction mode; name an address without one in "
                "listen_dsn, or set listen = off"
            )
        connection = self._database.connected()
        connection.execute(f"LISTEN {CHANNEL}")
        self._times += 1
        self.hears = self._times
        if self._told_lost:
            self._told_lost = False
            self._tell("LISTEN is back")
        self._wakeup.wake()
        return connection

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        """Hand on what is named until the listener is closed. Raises OperationalError when the connection is lost."""
        pgconn = connection.pgconn
        with DefaultSelector() as selector:
            selector.register(pgconn.socket, EVENT_READ)
            selector.register(self._stop_read, EVENT_READ)
            while not self._stopping.is_set():
                named = False
                while (notify := pgconn.notifies()) is not None:
                    self._heard.put(notify.extra.decode())
                    named = True
                if named:
                    self._wakeup.wake()
                selector.select()
                pgconn.consume_input()

    def _tell(self, text: str) -> None:
        self._notices.put(text)
        self._wakeup.wake()
