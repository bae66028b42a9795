"""The default executor: every run in a fresh child, forked from a warm template that a worker executed once.

It joins attempts with the template that a supervisor keeps alive: who asks, who is told, who reaps. When the template
dies its runs are given back; it refuses to know what becomes of them then.
"""

import math
import os
import sys
import time
from collections.abc import Mapping
from selectors import BaseSelector
from typing import Final

from reproq.child.control import Packet, Verb
from reproq.errors import ProtocolError
from reproq.executors import Ended, defaults
from reproq.executors.attempt import Attempt, Phase
from reproq.executors.children import Process, bad_spec
from reproq.executors.order import Order
from reproq.executors.orphans import Adopted
from reproq.executors.pace import LONG_SECONDS, Pace
from reproq.executors.spares import NO_RUN, Spares
from reproq.executors.supervisor import Supervisor
from reproq.executors.suspects import Suspects
from reproq.executors.template import Launch, TemplateProcess
from reproq.executors.waiting import Waiting
from reproq.frames import frame
from reproq.lifecycle import Key, Outcome, Release
from reproq.wire import Payload

FEEDS_AHEAD: Final = 2
"""So many times `Pace.fed` is held for each child beyond a round trip: claiming five costs little more than one."""


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
        timeout_seconds: float = defaults.TIMEOUT_SECONDS,
        kill_grace_seconds: float = defaults.KILL_GRACE_SECONDS,
        output_bytes: int = defaults.OUTPUT_BYTES,
        max_return_bytes: int = defaults.MAX_RETURN_BYTES,
        import_timeout_seconds: float = defaults.IMPORT_TIMEOUT_SECONDS,
        concurrency: int = 0,
        forks_ahead: int = 0,
        max_memory_bytes: int = 0,
    ) -> None:
        self._launch = Launch(
            setup, dict(environment), python, max_return_bytes, import_timeout_seconds, path, max_memory_bytes
        )
        self._timeout_seconds = timeout_seconds
        self._grace_seconds = kill_grace_seconds
        self._output_bytes = output_bytes
        self._concurrency = concurrency or math.inf  # so many run at once, what else was submitted waits
        self._pace = Pace()
        self._selector: BaseSelector
        self._adopted: Adopted
        self._supervisor: Supervisor | None = None
        self._attempts: dict[Key, Attempt] = {}
        self._by_number: dict[int, Attempt] = {}
        self._spares = Spares(forks_ahead, self._by_number.__delitem__)
        self._suspects = Suspects()
        self._waiting = Waiting(self._suspects)
        self._ended: list[Ended] = []
        self._last_number = 0
        self._paused_until: float | None = None

    imports_once = True

    @property
    def ready(self) -> bool:
        return self._supervisor is not None and self._supervisor.ready and self._paused_until is None

    @property
    def running(self) -> int:
        return len(self._attempts) + len(self._waiting) + len(self._ended)

    @property
    def template_pid(self) -> int | None:
        """The process id of the living template, for people."""
        return template.process.pid if (template := self._template()) else None

    def start(self, selector: BaseSelector) -> None:
        self._selector = selector
        self._adopted = Adopted()
        self._supervisor = Supervisor(self._launch, selector, self._on_packet, self._on_ready, self._on_death)
        self._supervisor.start()

    def ahead(self, trip_seconds: float) -> int:
        if self._concurrency == math.inf:
            return 0
        long_since = time.monotonic() - LONG_SECONDS
        hands = int(self._concurrency) - sum(one.has_run_since(long_since) for one in self._attempts.values())
        covers_a_trip = self._pace.ahead(hands, trip_seconds)
        return covers_a_trip and covers_a_trip + hands * FEEDS_AHEAD * self._pace.fed

    def submit(self, key: Key, payload: Payload) -> None:
        if key in self._attempts or key in self._waiting:
            raise ValueError(f"run {key[0]} is running already under this claim token")
        seconds = self._timeout_seconds if payload.timeout_seconds is None else payload.timeout_seconds
        try:
            framed = frame(payload.encode())
        except (ProtocolError, ValueError) as error:
            self._ended.append(Ended(key, bad_spec(f"the payload cannot be sent: {error}"), None, time.monotonic()))
            return
        self._waiting.add(Order(key, framed, seconds))
        self._give_out()

    def stop(self, key: Key, outcome: Outcome, grace_seconds: float | None = None) -> None:
        if self._waiting.remove(key):
            self._ended.append(Ended(key, outcome, None, time.monotonic()))
        elif attempt := self._attempts.get(key):
            attempt.stop(outcome, grace_seconds)

    def withdraw(self, reason: str) -> None:
        for key in list(self._waiting):
            self.stop(key, Release(reason, started=False))

    def deadline(self) -> float | None:
        if self._ended:
            return self._ended[0].ended_s
        moments = [attempt.ending.due_at() for attempt in self._attempts.values()]
        moments += [self._patience_ends_at(), self._waiting.due_at(time.monotonic())]
        if self._supervisor is not None:
            moments.append(self._supervisor.due_at())
        if self._paused_until is not None:
            moments.append(self._paused_until)
        return None if (soonest := min(moments)) == math.inf else soonest

    def tick(self) -> None:
        now = time.monotonic()
        if self._paused_until is not None and now >= self._paused_until:
            self._paused_until = None
        for attempt in list(self._attempts.values()):
            if now >= attempt.ending.due_at():
                attempt.act(now)
        if self._supervisor is not None:
            self._supervisor.tick(now)
            if self._supervisor.is_failing:
                self.withdraw("no template could be prepared: another worker may take this one")
        self._give_out()
        if now >= self._patience_ends_at():
            self.withdraw("every child is on a long run: another worker may take this one")

    def take_ended(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def take_notices(self) -> list[str]:
        return self._supervisor.take_notices() if self._supervisor is not None else []

    def reap_adopted(self) -> None:
        self._adopted.reap({self.template_pid or 0})

    def close(self) -> None:
        self.withdraw("the executor was closed")
        if self._supervisor is not None:
            self._supervisor.close()
        for attempt in list(self._attempts.values()):
            if attempt.process is not None:
                attempt.process.kill_leader()
            self._end(attempt, None, "the executor was closed")
        self._spares.drop_all()

    def _template(self) -> TemplateProcess | None:
        return self._supervisor.template if self._supervisor is not None else None

    # -- giving out ---------------------------------------------------------------------------------------------------

    def _on_ready(self) -> None:
        self._give_out()
        self._fork_ahead()

    def _give_out(self) -> None:
        """Give what waits to children that wait, or have more of them forked."""
        template = self._template()
        if template is None or not template.ready:
            return
        while len(self._busy()) < self._concurrency and (order := self._waiting.take(time.monotonic())):
            if (spare := self._spares.take()) is not None:
                self._attempts[order.key] = spare
                spare.assign(order.key, order.framed, order.timeout_seconds)
            else:
                self._attempts[order.key] = attempt = self._new_attempt(order)
                try:
                    self._fork(attempt, template)
                except OSError as error:
                    self._refuse(attempt, f"the worker could not prepare a child: {error}")
            self._fork_ahead()  # once a run, so that a system without room for a process is not asked all the time

    def _fork_ahead(self) -> None:
        if (template := self._template()) is not None and template.ready:
            order = Order(NO_RUN, b"", self._timeout_seconds)
            self._spares.fill(lambda: self._new_attempt(order), lambda one: self._fork(one, template))

    def _new_attempt(self, order: Order) -> Attempt:
        self._last_number = (self._last_number + 1) & 0xFFFFFFFF
        attempt = Attempt(order.key, self._last_number, order.framed, order.timeout_seconds, self._grace_seconds)
        self._by_number[attempt.number] = attempt
        return attempt

    def _fork(self, attempt: Attempt, template: TemplateProcess) -> None:
        """Have its process forked. Raises OSError."""
        ends = attempt.open(self._selector, self._output_bytes, self._launch.max_return_bytes)
        template.say(Packet(Verb.FORK, attempt.number, descriptors=ends))

    def _busy(self) -> list[Attempt]:
        return [attempt for attempt in self._attempts.values() if attempt.phase is not Phase.REAPING]

    def _patience_ends_at(self) -> float:
        """When what waits here had better be left to others, infinity for never."""
        starts = [attempt.sent_s for attempt in self._busy()] if self._waiting else []
        return self._waiting.patience_ends_at(starts, self._concurrency)

    # -- what the template says ---------------------------------------------------------------------------------------

    def _on_packet(self, packet: Packet) -> None:
        match packet.verb:
            case Verb.FORKED:
                self._on_forked(packet)
            case Verb.REFUSED | Verb.REAPED if packet.run in self._spares:
                self._spares.drop(packet.run)
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
            self._spares.drop(packet.run)
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
        self._spares.drop_all()  # they have run nothing, so nothing descends from them
        sessions = set()
        under_way = [one.key for one in self._attempts.values() if one.phase is Phase.RUNNING]
        blamed = self._suspects.blamed(under_way, time.monotonic())
        for attempt in list(self._attempts.values()):
            if attempt.process is not None:
                sessions.add(attempt.process.pid)
            if attempt.phase is Phase.RUNNING:
                attempt.orphan(reason, is_blamed=attempt.key == blamed)
            else:
                self._end(attempt, None, reason)
        return sessions

    def _refuse(self, attempt: Attempt, reason: str) -> None:
        """The system has nothing left for another process: give the run back, and take no others for a moment."""
        self._paused_until = time.monotonic() + defaults.PAUSE_SECONDS
        self._end(attempt, None, reason)

    def _end(self, attempt: Attempt, status: int | None, gone: str = "") -> None:
        del self._attempts[attempt.key]
        del self._by_number[attempt.number]
        now = time.monotonic()
        if attempt.sent_s is not None:
            self._pace.add(now - attempt.sent_s)
        self._ended.append(attempt.finish(status, now, gone))
        self._suspects.ended(self._ended[-1])
