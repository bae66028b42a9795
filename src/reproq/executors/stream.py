"""The two ends of a long-lived child that the worker holds: a stream of messages, and an output cut by marks.

Nothing here blocks. While a child has several runs in hand nobody waits on these descriptors: they are looked at
five hundred times a second, and what has come by then is read at once: cheaper than to wake up for each reply.
"""

import os
import socket
from collections import deque
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from typing import Final

from reproq.errors import ProtocolError
from reproq.executors.channel import READ_BYTES, REPLY_OVERHEAD_BYTES
from reproq.executors.output import MAX_READS_AT_ONCE, Capture
from reproq.frames import FrameBuffer
from reproq.output import NOTHING, Output

MARK_BYTES: Final = 16


class Watched:
    """A descriptor that a selector watches, or not; changed only when something changes."""

    def __init__(self, selector: BaseSelector, descriptor: int, ready: Callable[[], None]) -> None:
        self._selector = selector
        self._descriptor = descriptor
        self._ready = ready
        self._events = 0

    def watch(self, events: int) -> None:
        """From now on wait for these events, 0 for none."""
        if events == self._events:
            return
        if not events:
            self._selector.unregister(self._descriptor)
        elif self._events:
            self._selector.modify(self._descriptor, events, self._ready)
        else:
            self._selector.register(self._descriptor, events, self._ready)
        self._events = events


class Stream:
    """The channel of a child that answers many messages, in their order."""

    def __init__(self, selector: BaseSelector, max_return_bytes: int, ready: Callable[[], None]) -> None:
        self.fault = ""  # how the child broke the protocol; nothing is read after it
        self.in_reply = False  # the beginning of a message has come
        self._unsent = bytearray()
        self._frames = FrameBuffer(max_return_bytes + REPLY_OVERHEAD_BYTES)
        ours, self.theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket: socket.socket | None = ours
        self._watched = Watched(selector, ours.fileno(), ready)
        self._is_watched = False

    @property
    def is_closed(self) -> bool:
        """Whether one of the two ends has hung up."""
        return self._socket is None

    def watch(self, is_watched: bool) -> None:
        """Whether to wait for what comes; what is yet to be sent is waited for in any case."""
        self._is_watched = is_watched
        if self._socket is not None:
            reads = EVENT_READ if is_watched else 0
            self._watched.watch(reads | (EVENT_WRITE if self._unsent else 0))

    def send(self, data: bytes) -> None:
        """Send whole frames, now or when the child has read what came before."""
        self._unsent += data
        self._push()
        self.watch(self._is_watched)

    def receive(self) -> list[bytes]:
        """The messages that have come since the last call."""
        found: list[bytes] = []
        if self._unsent:
            self._push()
            self.watch(self._is_watched)
        while self._socket is not None and not self.fault:
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            if not data:
                self.close()
                break
            self.in_reply = True
            try:
                for message in self._frames.feed(data):
                    found.append(message)
            except ProtocolError as error:
                self.break_off(str(error))
            self.in_reply = self._frames.is_within
            if len(data) < READ_BYTES:
                break
        return found

    def break_off(self, fault: str) -> None:
        """The child broke the protocol: hear no more of it."""
        self.fault = fault
        self.close()

    def close(self) -> None:
        """Hang up: the child ends when it has done what it is at."""
        if self._socket is not None:
            self._watched.watch(0)
            self._socket.close()
            self._socket = None
        self.theirs.close()
        self._unsent.clear()

    def _push(self) -> None:
        try:
            while self._unsent and self._socket is not None:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except ConnectionError:
            self._unsent.clear()  # it died before it had read all; its end will say how


class MarkedOutput:
    """What a child prints, cut into the outputs of its runs: it writes `mark` behind each.

    The mark is random and no run is told of it. One that finds it out can give its output to another, no more.
    """

    def __init__(self, selector: BaseSelector, cap_bytes: int, mark: bytes) -> None:
        self._mark = mark
        self._cap_bytes = cap_bytes
        self._capture = Capture(cap_bytes)
        self._rest = b""  # the last bytes, which may be the first of a mark
        self._ended: deque[Output] = deque()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._watched = Watched(selector, self._reader, self.drain)

    def watch(self, is_watched: bool) -> None:
        """Whether to wait for what comes."""
        if self._reader >= 0:
            self._watched.watch(EVENT_READ if is_watched else 0)

    def detach_writer(self) -> int:
        """The writing end, for the child to inherit; the caller closes it."""
        writer, self._writer = self._writer, -1
        return writer

    def drain(self) -> None:
        """Read once what is there."""
        self._read()

    def take(self) -> Output:
        """The output of the run that answered next: its mark was written before its reply."""
        if self._ended:
            return self._ended.popleft()
        for _ in range(MAX_READS_AT_ONCE):  # more than a pipe holds, and no end to what a grandchild may write
            if self._ended or not self._read():
                break
        return self._ended.popleft() if self._ended else self._cut()

    def close(self) -> Output:
        """Take what is there now, close, and say what was printed behind the last mark that was taken."""
        output = self.take() if self._reader >= 0 else NOTHING
        self.watch(False)
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1
        if self._writer >= 0:
            os.close(self.detach_writer())
        return output

    def _read(self) -> bool:
        if self._reader < 0:
            return False
        try:
            data = os.read(self._reader, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:  # nobody holds its other end any more
            self.watch(False)
            return False
        *ended, rest = (self._rest + data).split(self._mark)
        for printed in ended:
            if printed or self._capture.bytes_total:
                self._capture.add(printed)
                self._ended.append(self._cut(with_rest=False))
            else:  # most runs print nothing
                self._ended.append(NOTHING)
        if not rest:
            self._rest = b""
            return True
        kept = self._longest_beginning(rest)
        self._capture.add(rest[: len(rest) - kept])
        self._rest = rest[len(rest) - kept :]
        return True

    def _cut(self, *, with_rest: bool = True) -> Output:
        if with_rest:
            self._capture.add(self._rest)
            self._rest = b""
        if not self._capture.bytes_total:
            return NOTHING
        capture, self._capture = self._capture, Capture(self._cap_bytes)
        return capture.output()

    def _longest_beginning(self, data: bytes) -> int:
        longest = min(len(data), len(self._mark) - 1)
        return next((size for size in range(longest, 0, -1) if self._mark.startswith(data[-size:])), 0)
