"""A process that has only so many descriptors left."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def only(count: int) -> Iterator[None]:
    """Within it, this process can open so many descriptors more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    low = [os.open(os.devnull, os.O_RDONLY)]
    while low[-1] < highest:  # so that what is opened next gets the numbers behind all others
        low.append(os.open(os.devnull, os.O_RDONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (low[-1] + 1 + count, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in low:
            os.close(descriptor)
