"""How a thread of the store reaches the loop: by queues, and by a socket in its selector that ends its wait."""

import queue
import socket
from contextlib import suppress
from selectors import EVENT_READ, BaseSelector


def take_all[T](source: "queue.SimpleQueue[T]") -> list[T]:
    """What lies in a queue at this moment, in order."""
    items: list[T] = []
    try:
        while True:
            items.append(source.get_nowait())
    except queue.Empty:
        return items


class Wakeup:
    """`wake` may be called by any thread, also after `close`; the rest is the loop's."""

    def __init__(self) -> None:
        self._selector: BaseSelector | None = None
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def register(self, selector: BaseSelector) -> None:
        """The selector learns the descriptor that turns readable with every `wake`."""
        self._selector = selector
        selector.register(self._read, EVENT_READ, self._drain)

    def wake(self) -> None:
        """End the loop's wait. A full socket holds wake-ups that it has not read yet; a closed one needs none."""
        with suppress(OSError):
            self._write.send(b"\0")

    def close(self) -> None:
        """Unregister, and close both ends."""
        if self._selector is not None:
            self._selector.unregister(self._read)
            self._selector = None
        self._read.close()
        self._write.close()

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            while self._read.recv(4096):
                pass
