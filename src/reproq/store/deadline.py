"""A connection that waits for each answer only so long: a database that does not answer is away, whatever the reason.

The server's own `statement_timeout` cannot tell this side anything when packets vanish, and keepalives cannot tell it
of a lock that another session holds; so the clock that counts is ours.
"""

import socket
import struct
import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any, Final

import psycopg
from psycopg import capabilities

CANCEL_SECONDS: Final = 1.0
"""How long it is tried to tell the server that nobody waits for its answer any more."""

BREAK_OFF: Final = struct.pack("ii", 1, 0)
"""Linger on, for no second."""


class AnswerOverdue(psycopg.OperationalError):
    """The database has not answered in time. It has no SQLSTATE, like every other lost connection."""


class ImpatientConnection(psycopg.Connection[Any]):
    """Gives up what is not answered within `answer_seconds`, and itself with it: nobody knows what the server made of
    it. The server is asked to drop the statement, which may only have waited for a lock."""

    answer_seconds: float = 0.0
    """0 waits for ever."""

    def wait[T](self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """Run one exchange with the server. Raises AnswerOverdue."""
        if not self.answer_seconds:
            return super().wait(gen, *args, **options)
        try:
            return super().wait(_until(gen, self.answer_seconds), *args, **options)
        except AnswerOverdue:
            self._give_up()
            raise

    def _give_up(self) -> None:
        if capabilities.has_cancel_safe():  # an older libpq would wait for the network here, without end
            with suppress(psycopg.Error, OSError):  # OSError: it takes a descriptor, and there may be none left
                self.cancel_safe(timeout=CANCEL_SECONDS)
        _forget_unsent(self.pgconn.socket)
        self.pgconn.finish()


def _forget_unsent(descriptor: int) -> None:
    """What is closed goes on sending what it was given, for minutes, and a claim that arrives when the network is back
    is one that nobody knows of. So this one is broken off instead, and its bytes with it."""
    connection = socket.socket(fileno=descriptor)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, BREAK_OFF)
    finally:
        connection.detach()  # libpq closes it


def _until[T](gen: Generator[Any, Any, T], seconds: float) -> Generator[Any, Any, T]:
    """The same exchange, as long as the answer comes in time: psycopg resumes it ten times a second while nothing
    happens."""
    deadline_s = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() >= deadline_s:
                gen.close()
                raise AnswerOverdue(f"the database did not answer within {seconds:g} s")
            wanted = gen.send(ready)
    except StopIteration as end:
        value: T = end.value
        return value
