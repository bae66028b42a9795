"""What a run prints: drained while it comes, so that no pipe is ever full; kept within a cap, so that a flood is flat.

The end of a run never waits for the end of this pipe: a grandchild may hold it for days.
"""

import os
from collections.abc import Callable
from selectors import EVENT_READ, BaseSelector
from typing import Final

from reproq.output import Output

READ_BYTES: Final = 65536
MAX_READS_AT_ONCE: Final = 16


class Capture:
    """The first and the last bytes of a stream, at most `cap_bytes` of them, and how many there were."""

    def __init__(self, cap_bytes: int) -> None:
        self.head_cap = cap_bytes // 2
        self.tail_cap = cap_bytes - self.head_cap
        self.head = b""
        self.tail = bytearray()
        self.bytes_total = 0

    def add(self, data: bytes) -> None:
        self.bytes_total += len(data)
        if missing := self.head_cap - len(self.head):
            self.head += data[:missing]
            data = data[missing:]
        self.tail += data
        if len(self.tail) > 2 * self.tail_cap + READ_BYTES:  # seldom, so that a flood does not move bytes all the time
            del self.tail[: -self.tail_cap or None]

    def output(self) -> Output:
        return Output(self.head, bytes(self.tail[-self.tail_cap :] if self.tail_cap else b""), self.bytes_total)


class OutputPipe:
    """A pipe whose writing end a process holds as stdout, stderr or both, read into a Capture through a selector.

    Two pipes may share one Capture (their order within it is the order of reading); `tap` is handed every byte too.
    """

    def __init__(
        self,
        selector: BaseSelector,
        cap_bytes: int,
        *,
        capture: Capture | None = None,
        tap: Callable[[bytes], None] | None = None,
    ) -> None:
        self.selector = selector
        self.capture = capture or Capture(cap_bytes)
        self._tap = tap
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        selector.register(self.reader, EVENT_READ, self.drain)

    def detach_writer(self) -> int:
        """The writing end, for a process to inherit; the caller closes it."""
        writer, self.writer = self.writer, -1
        return writer

    def drain(self) -> None:
        """Read what is there, but no more than a megabyte at once: other runs want their turn too."""
        if self.reader < 0:
            return
        for _ in range(MAX_READS_AT_ONCE):
            try:
                data = os.read(self.reader, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._close_reader()
                return
            self.capture.add(data)
            if self._tap is not None:
                self._tap(data)
            if len(data) < READ_BYTES:
                return

    def close(self) -> Output:
        """Take what is there now, close, and say what was printed."""
        self.drain()
        self._close_reader()
        if self.writer >= 0:
            os.close(self.detach_writer())
        return self.capture.output()

    def _close_reader(self) -> None:
        if self.reader >= 0:
            self.selector.unregister(self.reader)
            os.close(self.reader)
            self.reader = -1
