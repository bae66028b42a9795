"""The memory of a template, put in order before it forks: in huge pages, of which a fork copies one entry, not 512.

It refuses to know what lies in that memory, and who forks.
"""

import contextlib
import ctypes
from pathlib import Path
from typing import Final

MADV_COLLAPSE: Final = 25
HUGE_PAGE_BYTES: Final = 2 << 20

_libc: Final = ctypes.CDLL(None, use_errno=True)
_madvise: Final = _libc.madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_trim: Final = getattr(_libc, "malloc_trim", None)
"""glibc has it."""


def gather_heap() -> None:
    """Put what is free in the C library's heap in order and give it back: a fork that did so would copy pages for it.

    Then gather the memory that this process has written to in huge pages, as far as the system has any (Linux 6.1),
    and its owner has not switched them off. What a fork then changes is copied by the usual 4 kB.
    """
    if _trim is not None:
        _trim(0)
    with contextlib.suppress(OSError):
        if "[never]" in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text("ascii"):
            return
        for line in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
            area, rights, _, _, inode, *_ = line.split(maxsplit=5)
            if rights == "rw-p" and inode == "0" and not line.endswith("[stack]"):
                _collapse(*(int(end, 16) for end in area.split("-")))


def _collapse(start: int, end: int) -> None:
    first, last = -(-start // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES, end // HUGE_PAGE_BYTES * HUGE_PAGE_BYTES
    if first < last:
        _madvise(first, last - first, MADV_COLLAPSE)  # best effort: where it fails, small pages stay
