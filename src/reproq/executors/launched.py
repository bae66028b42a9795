"""The base of the executors whose processes the worker starts itself: each run a program, started and reaped here.

A program gets its stdin as a file in memory, so nothing is ever written to a pipe that nobody reads. It leads a session
of its own; what it leaves behind ends with it, and the guard sees to the case that the worker is killed. What is
started, and how it answers, is the affair of spawn.py and command.py.
"""

import contextlib
import math
import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from selectors import BaseSelector
from typing import Final

from reproq.errors import ProtocolError
from reproq.executors import Ended, defaults
from reproq.executors.attempt import Attempt, Phase
from reproq.executors.children import Process, bad_spec
from reproq.executors.guarding import Guard
from reproq.executors.orphans import PAUSE_SECONDS, Adopted, OrphanSweep, reap_zombies
from reproq.executors.program import Program, Streams, launch
from reproq.lifecycle import Failure, Key, Outcome, Release
from reproq.wire import Payload

STARTED_AS: Final = "REPROQ_STARTED_AS"
"""In the environment of a program and all that descends from it: which start it was."""
CLOSE_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of every run: seconds and bytes."""

    timeout_seconds: float = defaults.TIMEOUT_SECONDS
    kill_grace_seconds: float = defaults.KILL_GRACE_SECONDS
    output_bytes: int = defaults.OUTPUT_BYTES
    max_return_bytes: int = defaults.MAX_RETURN_BYTES
    max_memory_bytes: int = 0


@dataclass(slots=True)
class _Started:
    attempt: Attempt
    popen: "subprocess.Popen[bytes]" = field(repr=False)
    entry: str  # what marks its descendants


class LaunchedExecutor(ABC):
    """See the protocol `Executor`. The worker calls `become_subreaper()` once before `start`, all from one thread."""

    def __init__(self, environment: Mapping[str, str], limits: Limits) -> None:
        self.limits = limits
        self._guard = Guard(environment)
        self._selector: BaseSelector
        self._started: dict[Key, _Started] = {}
        self._ended: list[Ended] = []
        self._sweeps: list[OrphanSweep] = []
        self._adopted: Adopted
        self._starts = 0
        self._paused_until: float | None = None

    @abstractmethod
    def program_for(self, payload: Payload) -> Program | Failure:
        """What to start for a run, or why nothing can be. May raise ProtocolError or ValueError: a bad spec."""

    @abstractmethod
    def streams_for(self, attempt: Attempt) -> Streams:
        """What its process will write to. Raises OSError, with nothing left open."""

    @abstractmethod
    def failure_to_start(self, program: Program, error: OSError) -> Failure | None:
        """What an error of the start means for the run; None gives it back to try again."""

    imports_once = False

    @property
    def ready(self) -> bool:
        return self._paused_until is None

    @property
    def running(self) -> int:
        return len(self._started) + len(self._ended)

    @property
    def guard_pid(self) -> int | None:
        """The process id of the guard, for people."""
        return self._guard.pid

    def start(self, selector: BaseSelector) -> None:
        self._selector = selector
        self._adopted = Adopted()
        self._guard.ensure()

    def ahead(self, trip_seconds: float) -> int:
        return 0

    def submit(self, key: Key, payload: Payload) -> None:
        if key in self._started:
            raise ValueError(f"run {key[0]} is running already under this claim token")
        try:
            program = self.program_for(payload)
        except (ProtocolError, ValueError) as error:
            program = bad_spec(f"the payload cannot be sent: {error}")
        if isinstance(program, Failure):
            self._refuse(key, program)
            return
        seconds = self.limits.timeout_seconds if payload.timeout_seconds is None else payload.timeout_seconds
        self._starts += 1
        attempt = Attempt(key, self._starts, b"", seconds, self.limits.kill_grace_seconds)
        try:
            self._guard.ensure()
        except OSError as error:
            self._give_back(key, f"the worker could not start its guard: {error}")
            return
        try:
            self._launch(attempt, program)
        except OSError as error:
            if failure := self.failure_to_start(program, error):
                self._refuse(key, failure)
            else:
                self._give_back(key, f"the worker could not start a process: {error}")

    def stop(self, key: Key, outcome: Outcome, grace_seconds: float | None = None) -> None:
        if started := self._started.get(key):
            started.attempt.stop(outcome, grace_seconds)

    def withdraw(self, reason: str) -> None:
        return  # nothing waits here: what is submitted is started

    def deadline(self) -> float | None:
        if self._ended:
            return self._ended[0].ended_s
        moments = [started.attempt.ending.due_at() for started in self._started.values()]
        moments += [sweep.due_at for sweep in self._sweeps]
        if self._paused_until is not None:
            moments.append(self._paused_until)
        soonest = min(moments, default=math.inf)
        return None if soonest == math.inf else soonest

    def tick(self) -> None:
        now = time.monotonic()
        if self._paused_until is not None and now >= self._paused_until:
            self._paused_until = None
        for started in list(self._started.values()):
            if now >= started.attempt.ending.due_at():
                started.attempt.act(now)
        self._sweep(now)

    def take_ended(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def take_notices(self) -> list[str]:
        return []

    def reap_adopted(self) -> None:
        self._adopted.reap(self._own())

    def close(self) -> None:
        for key in list(self._started):
            self._end(key, "the executor was closed")
        end = time.monotonic() + CLOSE_SECONDS
        while self._sweeps and time.monotonic() < end:
            self._sweep(time.monotonic())
            time.sleep(PAUSE_SECONDS / 4)
        self._guard.close()
        self.reap_adopted()

    def _refuse(self, key: Key, outcome: Outcome) -> None:
        self._ended.append(Ended(key, outcome, None, time.monotonic()))

    def _give_back(self, key: Key, reason: str) -> None:
        """The system has nothing left for another process: leave the run to others, and take none for a moment."""
        self._paused_until = time.monotonic() + defaults.PAUSE_SECONDS
        self._refuse(key, Release(reason, started=False))

    def _launch(self, attempt: Attempt, program: Program) -> None:
        """Start the process of an attempt. Raises OSError with nothing left behind."""
        mark = f"{self._guard.mark}.{attempt.number}"
        streams = self.streams_for(attempt)
        try:
            marks = {**self._guard.entry, STARTED_AS: mark}
            popen, pidfd = launch(program, marks, streams, self.limits.max_memory_bytes)
        except OSError:
            streams.exchange.close()
            streams.output.close()
            raise
        finally:
            os.close(streams.stdout)
            os.close(streams.stderr)
        attempt.attach(self._selector, streams.exchange, streams.output)
        self._started[attempt.key] = _Started(attempt, popen, f"{STARTED_AS}={mark}")
        attempt.begin(Process(popen.pid, pidfd), self._exited)

    def _exited(self, attempt: Attempt) -> None:
        self._end(attempt.key)

    def _end(self, key: Key, gone: str = "") -> None:
        """Kill what is left of a run's group, reap its process, and say how that ended.

        The kill comes before the reaping: until then no stranger can have the pid.
        """
        started = self._started.pop(key)
        attempt = started.attempt
        if attempt.process is not None:
            attempt.process.kill()
        status = None
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that we may not kill outlives the executor
            status = started.popen.wait(CLOSE_SECONDS)
        attempt.phase = Phase.REAPING
        now = time.monotonic()
        self._ended.append(attempt.finish(None if gone else status, now, gone))
        if left := self._adopted.known_to_nobody(self._own()):  # handed to us when the run that started them ended
            reap_zombies(left)
            self._sweeps.append(OrphanSweep(started.entry, {started.popen.pid}, now))
            self._sweep(now)

    def _own(self) -> set[int]:
        """The processes that are waited for here."""
        own = {started.popen.pid for started in self._started.values()}
        return own if self._guard.pid is None else own | {self._guard.pid}

    def _sweep(self, now_s: float) -> None:
        """Kill what ended runs have left behind."""
        for sweep in self._sweeps:
            if now_s >= sweep.due_at:
                sweep.sweep(now_s)
        self._sweeps = [sweep for sweep in self._sweeps if not sweep.is_over]
