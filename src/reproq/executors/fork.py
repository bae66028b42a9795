"""The default executor: every run in a fresh child, forked from a warm template that a worker executed once.

It joins attempts (attempt.py) with the template that a supervisor keeps alive: who asks, who is told, who reaps. When
the template dies its runs are given back; it refuses to know what becomes of them then.
"""

import math
import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from selectors import BaseSelector
from typing import Final

from reproq.child.control import Packet, Verb
from reproq.errors import ProtocolError
from reproq.executors import Ended
from reproq.executors.attempt import Attempt, Phase
from reproq.executors.children import Process, bad_spec
from reproq.executors.orphans import Adopted
from reproq.executors.supervisor import Supervisor
from reproq.executors.template import Launch, TemplateProcess
from reproq.lifecycle import Key, Outcome
from reproq.wire import Payload, frame

TIMEOUT_SECONDS: Final = 900.0
KILL_GRACE_SECONDS: Final = 5.0
OUTPUT_BYTES: Final = 65536
MAX_RETURN_BYTES: Final = 1024 * 1024
IMPORT_TIMEOUT_SECONDS: Final = 120.0
NO_RUN: Final = (0, 0)
"""The key of what is forked ahead of its run."""
PAUSE_SECONDS: Final = 1.0
"""How long no run is taken after one could not be given a process: what was given back would come at once again."""


class ForkExecutor:
    """Runs payloads in forks of a template that `setup` ("module:function") prepares. See the protocol `Executor`.

    The worker calls `reproq.child.kernel.become_subreaper()` once before `start`, and everything here from its main
    thread: the kernel kills a template that is still importing when the thread that started it ends.
    """

    def __init__(
        self,
        setup: str,
        *,
        environment: Mapping[str, str],
        path: tuple[str, ...] = (),
        python: str = sys.executable,
        timeout_seconds: float = TIMEOUT_SECONDS,
        kill_grace_seconds: float = KILL_GRACE_SECONDS,
        output_bytes: int = OUTPUT_BYTES,
        max_return_bytes: int = MAX_RETURN_BYTES,
        import_timeout_seconds: float = IMPORT_TIMEOUT_SECONDS,
        forks_ahead: int = 0,
    ) -> None:
        self._launch = Launch(setup, dict(environment), python, max_return_bytes, import_timeout_seconds, path)
        self._timeout_seconds = timeout_seconds
        self._grace_seconds = kill_grace_seconds
        self._output_bytes = output_bytes
        self._forks_ahead = forks_ahead  # so many children wait for runs, each for one: the fork delays none
        self._spares: dict[int, Attempt] = {}
        self._selector: BaseSelector
        self._adopted: Adopted
        self._supervisor: Supervisor | None = None
        self._attempts: dict[Key, Attempt] = {}
        self._by_number: dict[int, Attempt] = {}
        self._queue: deque[Attempt] = deque()
        self._ended: list[Ended] = []
        self._last_number = 0
        self._paused_until: float | None = None

    imports_once = True

    @property
    def ready(self) -> bool:
        return self._supervisor is not None and self._supervisor.ready and self._paused_until is None

    @property
    def running(self) -> int:
        return len(self._attempts) + len(self._ended)

    @property
    def template_pid(self) -> int | None:
        """The process id of the living template, for people."""
        template = self._template()
        return template.process.pid if template is not None else None

    def start(self, selector: BaseSelector) -> None:
        self._selector = selector
        self._adopted = Adopted()
        self._supervisor = Supervisor(self._launch, selector, self._on_packet, self._ask_for_forks, self._on_death)
        self._supervisor.start()

    def ahead(self, trip_seconds: float) -> int:
        return 0

    def submit(self, key: Key, payload: Payload) -> None:
        if key in self._attempts:
            raise ValueError(f"run {key[0]} is running already under this claim token")
        seconds = self._timeout_seconds if payload.timeout_seconds is None else payload.timeout_seconds
        try:
            framed = frame(payload.encode())
        except (ProtocolError, ValueError) as error:
            self._ended.append(Ended(key, bad_spec(f"the payload cannot be sent: {error}"), None, time.monotonic()))
            return
        if (spare := self._take_spare()) is not None:
            self._attempts[key] = spare
            spare.assign(key, framed, seconds)
        else:
            self._attempts[key] = attempt = self._new_attempt(key, framed, seconds)
            self._queue.append(attempt)
        self._ask_for_forks()

    def _new_attempt(self, key: Key, framed: bytes, timeout_seconds: float) -> Attempt:
        self._last_number = (self._last_number + 1) & 0xFFFFFFFF
        attempt = Attempt(key, self._last_number, framed, timeout_seconds, self._grace_seconds)
        self._by_number[attempt.number] = attempt
        return attempt

    def stop(self, key: Key, outcome: Outcome, grace_seconds: float | None = None) -> None:
        attempt = self._attempts.get(key)
        if attempt is None:
            return
        attempt.stop(outcome, grace_seconds)
        if attempt.phase is Phase.QUEUED:
            self._queue.remove(attempt)
            self._end(attempt, None)

    def withdraw(self, reason: str) -> None:
        while self._queue:
            self._end(self._queue.popleft(), None, reason)

    def deadline(self) -> float | None:
        if self._ended:
            return self._ended[0].ended_s
        moments = [attempt.ending.due_at() for attempt in self._attempts.values()]
        if self._supervisor is not None:
            moments.append(self._supervisor.due_at())
        if self._paused_until is not None:
            moments.append(self._paused_until)
        soonest = min(moments, default=math.inf)
        return None if soonest == math.inf else soonest

    def tick(self) -> None:
        now = time.monotonic()
        if self._paused_until is not None and now >= self._paused_until:
            self._paused_until = None
        for attempt in list(self._attempts.values()):
            if now >= attempt.ending.due_at():
                attempt.act(now)
        if self._supervisor is not None:
            self._supervisor.tick(now)

    def take_ended(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def take_notices(self) -> list[str]:
        if self._supervisor is None:
            return []
        notices, self._supervisor.notices = self._supervisor.notices, []
        return notices

    def reap_adopted(self) -> None:
        self._adopted.reap({pid} if (pid := self.template_pid) is not None else frozenset())

    def close(self) -> None:
        self._queue.clear()
        if self._supervisor is not None:
            self._supervisor.close()
        for attempt in list(self._attempts.values()):
            if attempt.process is not None:
                attempt.process.kill_leader()
            self._end(attempt, None, "the executor was closed")
        self._drop_spares()

    def _template(self) -> TemplateProcess | None:
        return self._supervisor.template if self._supervisor is not None else None

    def _ask_for_forks(self) -> None:
        template = self._template()
        while self._queue and template is not None and template.ready:
            attempt = self._queue.popleft()
            try:
                ends = attempt.open(self._selector, self._output_bytes, self._launch.max_return_bytes)
            except OSError as error:
                self._refuse(attempt, f"the worker could not prepare a child: {error}")
                continue
            template.say(Packet(Verb.FORK, attempt.number, descriptors=ends))
        if template is not None and template.ready:
            self._fork_ahead(template)

    # -- children that wait for their run -----------------------------------------------------------------------------

    def _fork_ahead(self, template: TemplateProcess) -> None:
        while len(self._spares) < self._forks_ahead:
            spare = self._new_attempt(NO_RUN, b"", self._timeout_seconds)
            self._spares[spare.number] = spare
            try:
                ends = spare.open(self._selector, self._output_bytes, self._launch.max_return_bytes)
            except OSError:  # no descriptor is left: runs need them more
                self._drop(spare)
                return
            template.say(Packet(Verb.FORK, spare.number, descriptors=ends))

    def _take_spare(self) -> Attempt | None:
        """One that waits, or the next that will; none that has ended while it waited."""
        for number, spare in self._spares.items():
            if spare.phase is Phase.FORKING or (spare.process is not None and not spare.process.has_ended()):
                return self._spares.pop(number)
        return None

    def _drop(self, spare: Attempt) -> None:
        del self._spares[spare.number], self._by_number[spare.number]
        if spare.process is not None and spare.phase is not Phase.REAPING:
            spare.process.kill_leader()
        spare.finish(None, time.monotonic(), "no run came for it")

    def _drop_spares(self) -> None:
        for spare in list(self._spares.values()):
            self._drop(spare)

    # -- what the template says ---------------------------------------------------------------------------------------

    def _on_packet(self, packet: Packet) -> None:
        match packet.verb:
            case Verb.FORKED:
                self._on_forked(packet)
            case Verb.REFUSED | Verb.REAPED if packet.run in self._spares:
                self._drop(self._spares[packet.run])
            case Verb.REFUSED:
                if attempt := self._by_number.get(packet.run):
                    self._refuse(attempt, f"no child could be forked: {packet.text}")
            case Verb.REAPED:
                if attempt := self._by_number.get(packet.run):
                    self._end(attempt, os.waitstatus_to_exitcode(packet.value))

    def _on_forked(self, packet: Packet) -> None:
        attempt, template = self._by_number.get(packet.run), self._template()
        if attempt is not None and packet.descriptors:
            begin = attempt.stand_by if packet.run in self._spares else attempt.begin
            begin(Process(packet.value, packet.descriptors[0]), self._on_exit)
            return
        for descriptor in packet.descriptors:
            os.close(descriptor)
        # The kernel drops a pidfd when we have no descriptor left. Without its payload the child ends by itself.
        if packet.run in self._spares:
            self._drop(self._spares[packet.run])
        elif attempt is not None:
            self._refuse(attempt, "the worker has no descriptor left for another child")
        if template is not None:
            template.say(Packet(Verb.REAP, packet.run))

    def _on_exit(self, attempt: Attempt) -> None:
        """A child has ended and is a zombie: nobody else can have its pid, so its group can be killed safely."""
        if attempt.process is None:
            return
        template = self._template()
        if template is None or attempt.phase is Phase.ORPHANED:
            self._end(attempt, None, attempt.orphaned)
            return
        attempt.process.kill()
        attempt.reaping()
        template.say(Packet(Verb.REAP, attempt.number))

    def _on_death(self, reason: str) -> set[int]:
        """End what had not begun; let the others end, which PDEATHSIG has seen to. Their sessions."""
        self._drop_spares()  # they have run nothing, so nothing descends from them
        sessions = set()
        for attempt in list(self._attempts.values()):
            if attempt.process is not None:
                sessions.add(attempt.process.pid)
            if attempt.phase is Phase.RUNNING:
                attempt.orphan(reason)
            elif attempt.phase is not Phase.QUEUED:
                self._end(attempt, None, reason)
        return sessions

    def _refuse(self, attempt: Attempt, reason: str) -> None:
        """The system has nothing left for another process: give the run back, and take no others for a moment."""
        self._paused_until = time.monotonic() + PAUSE_SECONDS
        self._end(attempt, None, reason)

    def _end(self, attempt: Attempt, status: int | None, gone: str = "") -> None:
        del self._attempts[attempt.key]
        del self._by_number[attempt.number]
        self._ended.append(attempt.finish(status, time.monotonic(), gone))
