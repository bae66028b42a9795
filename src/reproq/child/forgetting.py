"""Takes addresses and passwords out of this process's environment, once the project has been imported.

A project's settings may read them; its tasks, and the programs that those start, need not see them. What the kernel
shows as /proc/PID/environ is wiped, too: every fork shares it. Which names, the worker says (`executors.environment`).
"""

import ctypes
import os
from collections.abc import Mapping
from typing import Final

FORGET: Final = "REPROQ_FORGET"
"""The variable that holds the names, with commas between. It forgets itself."""

_libc: Final = ctypes.CDLL(None)
_libc.getenv.restype = ctypes.c_void_p
Places = Mapping[str, tuple[int, int]]
"""Where the values lie that this process was started with: address and length, by name."""


def find() -> Places:
    """The values to be forgotten. To be called before the project can have set them anew, elsewhere in memory."""
    names = os.environ.get(FORGET, "").split(",")
    found = {name: _libc.getenv(name.encode()) for name in filter(None, names)}
    return {name: (place, len(ctypes.string_at(place))) for name, place in found.items() if place}


def forget(places: Places) -> None:
    """Take the names away, and overwrite the values that the process was started with."""
    for name, (place, length) in places.items():
        ctypes.memset(place, 0, length)
        os.environ.pop(name, None)
    os.environ.pop(FORGET, None)
