"""The private descriptor of one attempt, worker's end: a payload goes out, one reply comes in, nothing ever blocks."""

import socket
from collections.abc import Callable, Iterator
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from typing import Final, Protocol

from reproq.errors import ProtocolError
from reproq.frames import FrameBuffer
from reproq.wire import Reply, decode_reply

READ_BYTES: Final = 65536
REPLY_OVERHEAD_BYTES: Final = 4 * 1024 * 1024
"""What a reply may hold beside a return value: the bounded texts of an error in JSON's longest spelling."""


class Frames(Protocol):
    """Collects bytes as they come and yields whole messages (see `reproq.frames`)."""

    def feed(self, data: bytes) -> Iterator[bytes]: ...


class Exchange(Protocol):
    """How an attempt hears what its process answers; `Channel` is one, the streams of a foreign program another."""

    reply: Reply | None
    fault: str
    in_reply: bool

    def start(self) -> None:
        """The process is there: from here on it runs."""

    def receive(self) -> None:
        """Read what has come."""

    def conclude(self, status: int | None) -> None:
        """The process has ended, with this exit status (None: nobody knows); the last chance to make a reply of it."""

    def close(self) -> None:
        """Hang up; what has been received stays."""


class Channel:
    """`on_answer` is called once, when a whole reply is here or the child has broken the protocol (`fault`)."""

    def __init__(
        self,
        selector: BaseSelector,
        unsent: bytes,
        max_return_bytes: int,
        on_answer: Callable[[], None],
        frames: Callable[[int], Frames] = FrameBuffer,
    ) -> None:
        self.reply: Reply | None = None
        self.fault = ""
        self.in_reply = False  # some bytes came, but no whole reply
        self._selector = selector
        self._unsent = memoryview(unsent)
        self._frames = frames(max_return_bytes + REPLY_OVERHEAD_BYTES)
        self._on_answer = on_answer
        self._events = 0
        ours, self.theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket: socket.socket | None = ours

    def load(self, unsent: bytes) -> None:
        """What `start` is to send, where that was not known when the channel was made."""
        self._unsent = memoryview(unsent)

    def start(self) -> None:
        """Send the payload: from here on the child runs."""
        self._send()
        self._register()

    def receive(self) -> None:
        """Read what has come, until the reply is whole."""
        while self._socket is not None:
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if data:
                self._take(data)
            else:
                self.close()

    def conclude(self, status: int | None) -> None:
        """Its reply is what it sent; the exit status adds nothing."""

    def close(self) -> None:
        """Hang up; what has been received stays."""
        if self._socket is not None:
            if self._events:
                self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
        self.theirs.close()
        self._unsent = memoryview(b"")

    def _ready(self) -> None:
        if self._unsent:
            self._send()
            self._register()
        self.receive()

    def _send(self) -> None:
        try:
            while self._unsent and self._socket is not None:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except ConnectionError:
            self._unsent = memoryview(b"")  # it died before it had read all; its end will say how

    def _register(self) -> None:
        wanted = EVENT_READ | (EVENT_WRITE if self._unsent else 0)
        if self._socket is not None and wanted != self._events:
            change = self._selector.modify if self._events else self._selector.register
            change(self._socket, wanted, self._ready)
            self._events = wanted

    def _take(self, data: bytes) -> None:
        self.in_reply = True
        try:
            for body in self._frames.feed(data):
                self.reply = decode_reply(body)
                self.in_reply = False
                break
            else:
                return
        except (ProtocolError, ValueError, RecursionError) as error:
            self.fault = str(error)
        self.close()
        self._on_answer()
