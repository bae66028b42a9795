"""What Reproq asks of Linux that the standard library does not offer: prctl, sub-reapers, who descends from whom.

Both ends of an executor use it. It refuses to know what a run is.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
PRIVATE_DESCRIPTOR: Final = 512
CHILDREN_BYTES: Final = 4096
OOM_FILE_BYTES: Final = 4096
CHILD_OOM_SCORE: Final = b"500"
SIGKILL: Final = int(signal.SIGKILL)
SIGSTOP: Final = int(signal.SIGSTOP)
NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)
"""Nothing can be said then of a process; every other error says that it is gone, or another user's."""
MAX_LOOKS: Final = 50
"""How often `kill_families` looks before it kills what it has seen, whether or not more come."""

# Loaded at import, so that a child finds it ready after the fork: dlopen there would cost and could meet a held lock.
_libc: Final = ctypes.CDLL(None, use_errno=True)
_prctl: Final = _libc.prctl
_fflush: Final = _libc.fflush


def become_subreaper() -> None:
    """From now on, descendants whose parent has died become children of this process instead of init's.

    A worker calls it once before it starts an executor. It lasts until the process ends, and is not inherited.
    """
    if _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends; end at once if `parent_pid` has ended already."""
    _prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died between the fork and the line above: no signal will ever come
        os._exit(1)


def outlive_parent() -> None:
    """Take back `die_with_parent`."""
    _prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)


def flush_c_streams() -> None:
    """Flush every stream of the C library: `os._exit` does not, and what C code printed would be lost."""
    _fflush(None)


def prefer_as_oom_victim() -> None:
    """Let the kernel take this process before the worker and the template when memory is out."""
    try:
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        os.write(score, CHILD_OOM_SCORE)
        os.close(score)
    except OSError:  # a container may forbid it
        pass


@cache
def _oom_file() -> Path | None:
    """Where the kernel counts the out-of-memory kills of this process's control group, of either version."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
            number, controllers, group = line.split(":", 2)
            if "memory" in controllers.split(","):
                candidates = [Path(f"/sys/fs/cgroup/memory{group}"), Path("/sys/fs/cgroup/memory")]
                name = "memory.oom_control"
            elif number == "0":
                candidates = [Path(f"/sys/fs/cgroup{group}"), Path("/sys/fs/cgroup")]
                name = "memory.events"
            else:
                continue
            # Inside a container the path is the host's, and the group's own files lie at the root of the mount.
            found = next((folder / name for folder in candidates if (folder / name).exists()), None)
            if found is not None:
                return found
    return None


def oom_kills() -> int | None:
    """How many processes of this one's control group the kernel has killed for want of memory; None if it says not."""
    file = _oom_file()
    if file is not None:
        with contextlib.suppress(OSError, ValueError):
            counters = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            try:
                text = b"\n" + os.read(counters, OOM_FILE_BYTES)
            finally:
                os.close(counters)
            return int(text.partition(b"\noom_kill ")[2].partition(b"\n")[0])
    return None


def private_descriptor() -> int:
    """A number for descriptors that no program guesses: high, but within the limit of this process."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return PRIVATE_DESCRIPTOR if limit == resource.RLIM_INFINITY else min(PRIVATE_DESCRIPTOR, max(3, limit - 8))


def make_private(descriptor: int, lowest: int) -> int:
    """Move a descriptor to `lowest` or above, and keep it out of programs started from here."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
    os.close(descriptor)
    return moved


def bound_wait(channel: socket.socket, seconds: float) -> None:
    """Have reads of this end of a socket raise BlockingIOError when nothing has come for so long; 0 waits for ever.

    The kernel keeps it, for all processes that have this end: no system call for each read.
    """
    time_value = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, time_value)


def children_of(pid: int) -> list[int]:
    """The living and unreaped children of a process, of all its threads; none if it has ended, or the system hides it
    from us, as another user's (hidepid)."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb", buffering=0) as children:
                found += map(int, children.read().split())
    except FileNotFoundError:
        # Either the process has ended, or this kernel was built without CONFIG_PROC_CHILDREN.
        return _children_by_stat(pid)
    except (ProcessLookupError, PermissionError):
        return []
    return found


class OwnChildren:
    """The children of this process by one system call a look: the kernel's list is kept open, where there is one.

    For a process of one thread; with more of them, each has a list of its own, and a look asks for all.
    """

    def __init__(self) -> None:
        self.descriptor = -1
        with contextlib.suppress(OSError):
            if len(os.listdir("/proc/self/task")) == 1:
                self.descriptor = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)

    def look(self) -> list[int]:
        """The living and the unreaped ones."""
        if self.descriptor < 0:
            return children_of(os.getpid())
        data = chunk = os.pread(self.descriptor, CHILDREN_BYTES, 0)
        while len(chunk) > CHILDREN_BYTES // 2:  # less than a page of whole numbers: there are no more
            chunk = os.pread(self.descriptor, CHILDREN_BYTES, len(data))
            data += chunk
        return [int(pid) for pid in data.split()]

    def close(self) -> None:
        """In a fork: the list is its parent's."""
        if self.descriptor >= 0:
            os.close(self.descriptor)


def _children_by_stat(pid: int) -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _stat_field(int(name), 1) == pid]


def session_of(pid: int) -> int | None:
    """The session of a process, also of a zombie; None if it is gone. Raises OSError where no descriptor is left to
    look with."""
    return _stat_field(pid, 3)


def _stat_field(pid: int, index: int) -> int | None:
    """One number of /proc/PID/stat, counted from the state, which follows the name in brackets."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()[index])
    except OSError as error:
        if error.errno in NO_DESCRIPTOR:
            raise
        return None
    except (ValueError, IndexError):
        return None


def descendants_of(pid: int) -> list[int]:
    """Children, their children, and so on, as far as they can be seen at this moment."""
    found = children_of(pid)
    for child in found:  # grows while it is walked
        found += children_of(child)
    return found


def has_in_environment(pid: int, entry: bytes) -> bool:
    """Whether a process was started with `NAME=value` in its environment; forks share what their parent had. Raises
    OSError where no descriptor is left to look with."""
    try:
        return entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError as error:
        if error.errno in NO_DESCRIPTOR:
            raise
        return False


def kill_quietly(pid: int, number: int = signal.SIGKILL, kill: Callable[[int, int], None] = os.kill) -> None:
    """Send a signal to a process (or, with `kill=os.killpg`, to a group) that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        kill(pid, number)


def kill_families(roots: Callable[[], list[int]]) -> set[int]:
    """Kill the processes that `roots` finds, with all that descends from them, and say which those were.

    They are stopped first, until a look finds none that is new. Killed one by one, a fork bomb makes up for each that
    dies, and wins: 500 processes on two cores did. A stopped one forks no more, and still takes up its place in
    whatever bounds their number. Nobody forks out of a stop: the kernel begins such a fork anew, after the signal.
    """
    seen: set[int] = set()
    for _ in range(MAX_LOOKS):
        before = len(seen)
        _stop_families(roots(), seen)
        if len(seen) == before:
            break
    for pid in seen:
        kill_quietly(pid)
    return seen


def _stop_families(pids: list[int], seen: set[int]) -> None:
    """Stop each before its children are looked at: they become no more meanwhile."""
    for pid in pids:  # grows while it is walked
        if pid not in seen:
            seen.add(pid)
            kill_quietly(pid, SIGSTOP)
        pids += children_of(pid)


def kill_every_descendant() -> None:
    """Kill whatever descends from this process, a sub-reaper, and return when none of it is left.

    Repeated, because a process may fork between being seen and being stopped. Those that called setsid, or whose
    parent has died, are found too: with its parents dead, every descendant is a child of the sub-reaper in the end,
    so "no child is left" (ECHILD) means that nothing is. The pause grows with the time that it takes: what we may not
    kill stays for as long as it likes.
    """
    pause_seconds = 0.001
    while True:
        kill_families(lambda: children_of(os.getpid()))
        if not reap_all():
            return
        time.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 1.5, 1.0)


def reap_all() -> bool:
    """Reap every child that has ended; whether any is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def resident_bytes(pid: int) -> int:
    """The memory that a process holds, what it shares with others included; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0
