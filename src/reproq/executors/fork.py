"""The default executor: every run in a fresh child, forked from a warm template that a worker executed once.

It joins attempts (attempt.py) with the template (template.py): who asks, who is told, who reaps. When the template
dies its runs are given back, and another one is started; it refuses to know what becomes of them then.
"""

import math
import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from selectors import BaseSelector
from typing import Final

from reproq.child import control
from reproq.child.control import Packet, Verb
from reproq.errors import ConfigurationError, ProtocolError
from reproq.executors import Ended, Key
from reproq.executors.attempt import Attempt, Phase
from reproq.executors.children import Process, bad_spec
from reproq.executors.orphans import OrphanSweep
from reproq.executors.template import Launch, TemplateProcess
from reproq.lifecycle import Outcome
from reproq.wire import Payload, frame

TIMEOUT_SECONDS: Final = 900.0
KILL_GRACE_SECONDS: Final = 5.0
OUTPUT_BYTES: Final = 65536
MAX_RETURN_BYTES: Final = 1024 * 1024
IMPORT_TIMEOUT_SECONDS: Final = 120.0
RESTART_SECONDS: Final = 1.0
MAX_RESTART_SECONDS: Final = 30.0
HEALTHY_SECONDS: Final = 60.0
LAST_LINES: Final = 12


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
        python: str = sys.executable,
        timeout_seconds: float = TIMEOUT_SECONDS,
        kill_grace_seconds: float = KILL_GRACE_SECONDS,
        output_bytes: int = OUTPUT_BYTES,
        max_return_bytes: int = MAX_RETURN_BYTES,
        import_timeout_seconds: float = IMPORT_TIMEOUT_SECONDS,
    ) -> None:
        self._launch = Launch(setup, dict(environment), python, max_return_bytes, import_timeout_seconds)
        self._timeout_seconds = timeout_seconds
        self._grace_seconds = kill_grace_seconds
        self._output_bytes = output_bytes
        self._selector: BaseSelector
        self._template: TemplateProcess | None = None
        self._attempts: dict[Key, Attempt] = {}
        self._by_number: dict[int, Attempt] = {}
        self._queue: deque[Attempt] = deque()
        self._ended: list[Ended] = []
        self._notices: list[str] = []
        self._sweeps: list[OrphanSweep] = []
        self._last_number = 0
        self._restart_at = math.inf
        self._failed_starts = 0
        self._was_ready = False
        self._broken = ""  # what the setup of the current template raised
        self._never = ""  # why the first template never became ready

    @property
    def ready(self) -> bool:
        if self._never:
            raise ConfigurationError(self._never)
        return self._template is not None and self._template.ready

    @property
    def running(self) -> int:
        return len(self._attempts) + len(self._ended)

    @property
    def template_pid(self) -> int | None:
        """The process id of the living template, for people."""
        return self._template.process.pid if self._template else None

    def start(self, selector: BaseSelector) -> None:
        self._selector = selector
        self._start_template()

    def submit(self, key: Key, payload: Payload) -> None:
        if key in self._attempts:
            raise ValueError(f"run {key[0]} is running already under this claim token")
        seconds = self._timeout_seconds if payload.timeout_seconds is None else payload.timeout_seconds
        try:
            framed = frame(payload.encode())
        except (ProtocolError, ValueError) as error:
            self._ended.append(Ended(key, bad_spec(f"the payload cannot be sent: {error}"), None, time.monotonic()))
            return
        self._last_number = (self._last_number + 1) & 0xFFFFFFFF
        attempt = Attempt(key, self._last_number, framed, seconds, self._grace_seconds)
        self._attempts[key] = self._by_number[attempt.number] = attempt
        self._queue.append(attempt)
        self._ask_for_forks()

    def stop(self, key: Key, outcome: Outcome) -> None:
        attempt = self._attempts.get(key)
        if attempt is None:
            return
        attempt.stop(outcome)
        if attempt.phase is Phase.QUEUED:
            self._queue.remove(attempt)
            self._end(attempt, None)

    def deadline(self) -> float | None:
        moments = [attempt.ending.due_at() for attempt in self._attempts.values()]
        moments += [sweep.due_at for sweep in self._sweeps]
        moments.append(self._restart_at)
        if self._template is not None and (silent := self._template.deadline()) is not None:
            moments.append(silent)
        soonest = min(moments)
        return None if soonest == math.inf else soonest

    def tick(self) -> None:
        now = time.monotonic()
        for attempt in list(self._attempts.values()):
            if now >= attempt.ending.due_at():
                attempt.act(now)
        if self._template is not None:
            self._template.kill_if_hung(now)
        if now >= self._restart_at:
            self._start_template()
        for sweep in self._sweeps:
            if now >= sweep.due_at:
                sweep.sweep(now)
        self._sweeps = [sweep for sweep in self._sweeps if not sweep.is_over]

    def take_ended(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def take_notices(self) -> list[str]:
        notices, self._notices = self._notices, []
        return notices

    def close(self) -> None:
        self._restart_at = math.inf
        self._queue.clear()
        if self._template is not None:
            self._template.close()
            self._template = None
        for attempt in list(self._attempts.values()):
            if attempt.process is not None:
                attempt.process.kill_leader()
            self._end(attempt, None, "the executor was closed")
        for sweep in self._sweeps:
            sweep.sweep(time.monotonic())
        self._sweeps = []

    def _start_template(self) -> None:
        self._restart_at = math.inf
        self._broken = ""
        try:
            self._template = TemplateProcess(self._launch, self._selector, self._on_packet, self._on_death)
        except OSError as error:
            self._not_started(f"{self._launch.python} cannot be started: {error}")

    def _ask_for_forks(self) -> None:
        template = self._template
        while self._queue and template is not None and template.ready:
            attempt = self._queue.popleft()
            try:
                ends = attempt.open(self._selector, self._output_bytes, self._launch.max_return_bytes)
            except OSError as error:
                self._end(attempt, None, f"the worker could not prepare a child: {error}")
                continue
            template.say(Packet(Verb.FORK, attempt.number, descriptors=ends))

    def _on_packet(self, packet: Packet) -> None:
        match packet.verb:
            case Verb.READY:
                self._on_ready(control.warnings_of(packet))
            case Verb.BROKEN:
                self._broken = packet.text
            case Verb.FORKED:
                self._on_forked(packet)
            case Verb.REFUSED:
                if attempt := self._by_number.get(packet.run):
                    self._notices.append(f"the system refused to fork a child ({packet.text}); the run is given back")
                    self._end(attempt, None, f"no child could be forked: {packet.text}")
            case Verb.REAPED:
                if attempt := self._by_number.get(packet.run):
                    self._end(attempt, os.waitstatus_to_exitcode(packet.value))

    def _on_ready(self, warnings: list[str]) -> None:
        self._was_ready = True
        self._notices += warnings
        if self._template is not None and (printed := self._template.output.capture.output().last_text.strip()):
            self._notices.append(f"the project printed while it was imported: {printed[-2000:]}")
        self._ask_for_forks()

    def _on_forked(self, packet: Packet) -> None:
        (pidfd,) = packet.descriptors
        process = Process(packet.value, pidfd)
        if attempt := self._by_number.get(packet.run):
            attempt.begin(process, self._on_exit)
        else:
            process.kill_leader()
            process.close()

    def _on_exit(self, attempt: Attempt) -> None:
        """A child has ended and is a zombie: nobody else can have its pid, so its group can be killed safely."""
        if attempt.process is None:
            return
        if self._template is None or attempt.phase is Phase.ORPHANED:
            self._end(attempt, None, attempt.orphaned)
            return
        attempt.process.kill()
        attempt.reaping()
        self._template.say(Packet(Verb.REAP, attempt.number))

    def _on_death(self, reason: str) -> None:
        template, self._template = self._template, None
        if template is None:
            return
        now = time.monotonic()
        if template.ready and now - template.started_s >= HEALTHY_SECONDS:
            self._failed_starts = 0
        given_back = self._orphan_all(f"the template died: {reason}")
        self._sweeps.append(OrphanSweep(template.mark, given_back, now))
        if not template.ready:
            self._not_started(self._broken or reason)
            return
        wait = self._restart_later()
        self._notices.append(
            f"the template died: {reason}\n{len(given_back)} of its runs were under way and end with it; "
            f"another template starts in {wait:g} s"
        )

    def _orphan_all(self, reason: str) -> set[int]:
        """End what had not begun; let the others end, which PDEATHSIG has seen to. Their sessions."""
        sessions = set()
        for attempt in list(self._attempts.values()):
            if attempt.process is not None:
                sessions.add(attempt.process.pid)
            if attempt.phase is Phase.RUNNING:
                attempt.orphan(reason)
            elif attempt.phase is not Phase.QUEUED:
                self._end(attempt, None, reason)
        return sessions

    def _not_started(self, why: str) -> None:
        last = "\n".join(why.strip().splitlines()[-LAST_LINES:])
        text = f"the template could not be prepared by {self._launch.setup}:\n{last}"
        if not self._was_ready:
            self._never = text
            return
        self._notices.append(f"{text}\nanother attempt follows in {self._restart_later():g} s")

    def _restart_later(self) -> float:
        wait = min(RESTART_SECONDS * (1 << self._failed_starts), MAX_RESTART_SECONDS)
        self._failed_starts = min(self._failed_starts + 1, 10)
        self._restart_at = time.monotonic() + wait
        return wait

    def _end(self, attempt: Attempt, status: int | None, gone: str = "") -> None:
        del self._attempts[attempt.key]
        del self._by_number[attempt.number]
        self._ended.append(attempt.finish(status, time.monotonic(), gone))
