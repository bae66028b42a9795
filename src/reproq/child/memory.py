"""How much memory a process of a run may have, and has (`max_memory`). It refuses to know what a run is."""

import resource
from pathlib import Path

from reproq.errors import ConfigurationError


class TooLittle(ConfigurationError):
    """A bound that leaves nothing for a run; its text says all that a person needs."""


def bound(most_bytes: int, pid: int = 0) -> None:
    """Let a process (0: this one) and all that it starts have so much memory of its own, each; 0 for any.

    RLIMIT_DATA counts what a process has asked for and can write to: its heap, its stacks. What it shares with others
    through files is not in it, and what a fork has inherited is. Unlike RLIMIT_AS it ignores address space that
    libraries only reserve.
    """
    if most_bytes:
        hard = resource.prlimit(pid, resource.RLIMIT_DATA)[1]
        most_bytes = most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard)
        resource.prlimit(pid, resource.RLIMIT_DATA, (most_bytes, most_bytes))


def bound_here() -> int:
    """The bound that `bound` has set for this process; 0 for none."""
    most_bytes = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return 0 if most_bytes == resource.RLIM_INFINITY else most_bytes


def own_bytes() -> int:
    """The memory of this process that `bound` would count (nearly: its first stack is in here as well)."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[5]) * resource.getpagesize()
