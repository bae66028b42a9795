"""What a killed template or a run leaves behind: processes that the kernel hands to the worker, the next sub-reaper.

The worker has children of its own (a new template, perhaps an embedded Postgres), so only what bears a mark in its
environment, or belongs to a session of the runs in question, is killed and reaped here.
"""

import contextlib
import os
from collections.abc import Set
from typing import Final

from reproq.child import kernel

PAUSE_SECONDS: Final = 0.02
LONGEST_PAUSE_SECONDS: Final = 1.0
"""Between two looks that find the same processes: what we may not kill, such as a daemon with the rights of another
user, is there for as long as it likes."""
QUIET_SWEEPS: Final = 10


class Adopted:
    """Children of this process that no executor started: the kernel hands every orphan to a sub-reaper or to PID 1.

    In a container that is what `docker exec` and health checks leave behind; unreaped, each keeps its pid for ever.
    What somebody here had started before is left to them; PID 1 takes also what lived before it called exec.
    """

    def __init__(self) -> None:
        self._before = set() if os.getpid() == 1 else set(kernel.children_of(os.getpid()))

    def known_to_nobody(self, own: Set[int]) -> set[int]:
        """Living and dead children that are neither from before nor `own`, those that the executor waits for. None
        where no descriptor is left to look with: the next child that ends has somebody look again."""
        try:
            children = set(kernel.children_of(os.getpid()))
        except OSError:
            return set()
        self._before &= children
        return children - self._before - own

    def reap(self, own: Set[int]) -> None:
        """Reap those of them that have ended."""
        reap_zombies(self.known_to_nobody(own))


def reap_zombies(pids: Set[int]) -> None:
    """Reap those of these children that have ended: a zombie has no environment left to show a mark."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


class OrphanSweep:
    """Kills and reaps the orphans of a dead template or run, a look every `PAUSE_SECONDS`, until they stop coming;
    later and later while a look only finds what it had found before.

    `entry` is the `NAME=value` in the environment of all that descends from it.
    """

    def __init__(self, entry: str, sessions: Set[int], now_s: float) -> None:
        self.due_at = now_s
        self._entry = entry.encode()
        self._sessions = set(sessions)
        self._killed: set[int] = set()
        self._found: set[int] = set()
        self._pause_seconds = PAUSE_SECONDS
        self._quiet = 0

    @property
    def is_over(self) -> bool:
        return self._quiet >= QUIET_SWEEPS

    def sweep(self, now_s: float) -> None:
        """Look once. An orphan's own children become ours when it is dead: the next look finds them."""
        with contextlib.suppress(OSError):  # no descriptor is left to look with: there will be one
            self._look()
        self.due_at = now_s + self._pause_seconds

    def _look(self) -> None:
        children = kernel.children_of(os.getpid())
        self._killed.intersection_update(children)  # what was reaped elsewhere may be somebody else's number by now
        self._killed |= kernel.kill_families(self._orphans)
        found = self._killed.intersection(kernel.children_of(os.getpid()))
        is_old = bool(found) and found == self._found
        self._found = found
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS) if is_old else PAUSE_SECONDS
        for pid in found:
            self._reap(pid)
        self._quiet = 0 if found else self._quiet + 1

    def _orphans(self) -> list[int]:
        return [pid for pid in kernel.children_of(os.getpid()) if self._is_orphan(pid)]

    def _is_orphan(self, pid: int) -> bool:
        if pid in self._killed:
            return True
        return kernel.session_of(pid) in self._sessions or kernel.has_in_environment(pid, self._entry)

    def _reap(self, pid: int) -> None:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._killed.discard(pid)
