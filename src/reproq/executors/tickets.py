"""The tickets of a long-lived child: one counter in the kernel, which decides between the two who may take one.

The worker gives a ticket with each run, and the child takes it before it begins. A ticket that the worker takes back is
a run that the child has not begun, and now never will. It refuses to know which run that is.
"""

import os


class Tickets:
    """The worker's end. Nothing here blocks."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._counter = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def for_child(self) -> int:
        """A descriptor of the same counter; the caller closes it."""
        return os.dup(self._counter)

    def give(self, count: int) -> None:
        """So many more runs may be begun."""
        os.eventfd_write(self._counter, count)

    def take_back(self, most: int) -> int:
        """Take back those that are left, `most` at most; how many that were."""
        count = 0
        try:
            while count < most:
                os.eventfd_read(self._counter)
                count += 1
        except BlockingIOError:
            pass
        return count

    def close(self) -> None:
        """Let go of the counter."""
        os.close(self._counter)
