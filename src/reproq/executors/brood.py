"""The children of the executor `fork`, each for one run: asked of the template, given their run, reaped.

It refuses to know which run comes next, and what becomes of a run: its owner is told what ended, and when a process
can be had or not. When the template dies its runs are given back.
"""

import os
import time
from selectors import BaseSelector
from typing import Protocol

from reproq.child.control import Packet, Verb
from reproq.executors import Ended
from reproq.executors.attempt import Attempt, Phase
from reproq.executors.children import Process, exit_reason
from reproq.executors.order import Order
from reproq.executors.orphans import Adopted
from reproq.executors.restarts import Restarts
from reproq.executors.spares import NO_RUN, Spares
from reproq.executors.supervisor import Supervisor
from reproq.executors.template import Launch, TemplateProcess
from reproq.lifecycle import Key


class Owner(Protocol):
    """Who is told."""

    def on_ready(self) -> None:
        """There is a template that can fork."""

    def on_ended(self, ended: Ended, sent_s: float | None) -> None:
        """A run has ended, which was sent to its child at that moment (None: never)."""

    def on_forked(self) -> None:
        """The system had room for another process."""

    def on_refused(self, reason: str) -> None:
        """The system has nothing left for another process; the run that was to have it has ended."""

    def blamed(self, under_way: list[Key]) -> Key | None:
        """The template has died while these ran: whose fault it was, if that can be told."""


class Brood:
    """`forks_ahead` children are kept waiting, and warm themselves when they have waited for `idle_seconds` (0: never).
    Its methods return at once, but for `close`."""

    def __init__(
        self,
        launch: Launch,
        owner: Owner,
        *,
        forks_ahead: int,
        grace_seconds: float,
        output_bytes: int,
        idle_seconds: float,
    ) -> None:
        self.attempts: dict[Key, Attempt] = {}
        self._launch = launch
        self._owner = owner
        self._grace_seconds = grace_seconds
        self._output_bytes = output_bytes
        self._idle_seconds = idle_seconds
        self._selector: BaseSelector
        self._adopted: Adopted
        self.supervisor: Supervisor | None = None
        self._by_number: dict[int, Attempt] = {}
        self.spares = Spares(forks_ahead, self._by_number.__delitem__)
        self._last_number = 0
        self._owes_spares = False
        self._respawns = Restarts()

    @property
    def template(self) -> TemplateProcess | None:
        """The living one."""
        return self.supervisor.template if self.supervisor is not None else None

    @property
    def can_fork(self) -> bool:
        """Whether there is a template that has imported its project."""
        return self.template is not None and self.template.ready

    @property
    def busy(self) -> list[Attempt]:
        """Those with a run that is not over."""
        return [attempt for attempt in self.attempts.values() if attempt.phase is not Phase.REAPING]

    def start(self, selector: BaseSelector) -> None:
        """Start the template."""
        self._selector = selector
        self._adopted = Adopted()
        self.supervisor = Supervisor(self._launch, selector, self._on_packet, self._on_ready, self._on_death)
        self.supervisor.start()

    def due_at(self) -> float:
        """When `tick` has something to do, infinity for never."""
        moments = [self._respawns.due_at, *(attempt.ending.due_at() for attempt in self.attempts.values())]
        return min(moments + ([self.supervisor.due_at()] if self.supervisor is not None else []))

    def tick(self, now_s: float) -> None:
        """Act on what is due."""
        for attempt in list(self.attempts.values()):
            if now_s >= attempt.ending.due_at():
                attempt.act(now_s)
        if now_s >= self._respawns.due_at:
            self._respawns.begun()
            self._owes_spares = True
            self.fork_ahead()
        if self.supervisor is not None:
            self.supervisor.tick(now_s)

    def reap_adopted(self) -> None:
        """Reap children of this process that nobody here started."""
        self._adopted.reap({self.template.process.pid if self.template is not None else 0})

    def close(self) -> None:
        """Kill and reap them all, and the template; waits for that."""
        if self.supervisor is not None:
            self.supervisor.close()
        for attempt in list(self.attempts.values()):
            if attempt.process is not None:
                attempt.process.kill_leader()
            self._end(attempt, None, "the executor was closed")
        self.spares.drop_all()

    # -- giving out ---------------------------------------------------------------------------------------------------

    def give(self, order: Order) -> None:
        """Give a run to a child that waits, or have one forked for it. Only while `can_fork`."""
        self._owes_spares = True
        if (spare := self.spares.take()) is not None:
            self.attempts[order.key] = spare
            spare.assign(order.key, order.framed, order.timeout_seconds)
            return
        self.attempts[order.key] = attempt = self._new_attempt(order)
        try:
            self._fork(attempt)
        except OSError as error:
            self._refuse(attempt, f"the worker could not prepare a child: {error}")

    def fork_ahead(self) -> None:
        """Have as many wait as shall, once after each run: a system without room is not asked all the time."""
        if self.can_fork and self._owes_spares:
            self._owes_spares = False
            order = Order(NO_RUN, b"", 0.0)
            self.spares.fill(lambda: self._new_attempt(order), lambda spare: self._fork(spare, self._idle_seconds))

    def _new_attempt(self, order: Order) -> Attempt:
        self._last_number = (self._last_number + 1) & 0xFFFFFFFF
        attempt = Attempt(order.key, self._last_number, order.framed, order.timeout_seconds, self._grace_seconds)
        self._by_number[attempt.number] = attempt
        return attempt

    def _fork(self, attempt: Attempt, idle_seconds: float = 0.0) -> None:
        """Have its process forked. Raises OSError."""
        ends = attempt.open(self._selector, self._output_bytes, self._launch.max_return_bytes, idle_seconds)
        self._say(Packet(Verb.FORK, attempt.number, descriptors=ends))

    def _say(self, packet: Packet) -> None:
        if self.template is not None:
            self.template.say(packet)

    # -- what the template says ---------------------------------------------------------------------------------------

    def _on_ready(self) -> None:
        self._owes_spares = True
        self._owner.on_ready()
        self.fork_ahead()

    def _on_packet(self, packet: Packet) -> None:
        match packet.verb:
            case Verb.FORKED:
                self._on_forked(packet)
            case Verb.REFUSED if packet.run in self.spares:
                self.spares.drop(packet.run)
            case Verb.REAPED if packet.run in self.spares:
                self._on_spare_died(packet)
            case Verb.REFUSED:
                if attempt := self._by_number.get(packet.run):
                    self._refuse(attempt, f"no child could be forked: {packet.text}")
            case Verb.REAPED:
                if attempt := self._by_number.get(packet.run):
                    self._end(attempt, os.waitstatus_to_exitcode(packet.value))

    def _on_forked(self, packet: Packet) -> None:
        attempt = self._by_number.get(packet.run)
        if attempt is not None and packet.descriptors:
            begin = attempt.stand_by if packet.run in self.spares else attempt.begin
            begin(Process(packet.value, packet.descriptors[0]), self._on_exit)
            self._owner.on_forked()
            return
        for descriptor in packet.descriptors:
            os.close(descriptor)
        # The kernel drops a pidfd when we have no descriptor left. Without its payload the child ends by itself.
        if packet.run in self.spares:
            self.spares.drop(packet.run)
        elif attempt is not None:
            self._refuse(attempt, "the worker has no descriptor left for another child")
        self._say(Packet(Verb.REAP, packet.run))

    def _on_spare_died(self, packet: Packet) -> None:
        """A child has died while it waited, and another is forked in its place, whether a run comes or not."""
        now_s = time.monotonic()
        again_seconds = self._respawns.died(now_s, now_s - self._by_number[packet.run].made_s)
        self.spares.drop(packet.run)
        if self.supervisor is not None:
            self.supervisor.notices.append(
                f"a child that waited for a run died: {exit_reason(os.waitstatus_to_exitcode(packet.value))}; "
                f"another is forked in {again_seconds:.2g} s"
            )

    def _on_exit(self, attempt: Attempt) -> None:
        """A child has ended and is a zombie: nobody else can have its pid, so its group can be killed safely."""
        if attempt.process is None:
            return
        if self.template is None or attempt.phase is Phase.ORPHANED:
            self._end(attempt, None, attempt.orphaned)
            return
        attempt.process.kill()
        attempt.reaping()
        self._say(Packet(Verb.REAP, attempt.number))

    def _on_death(self, reason: str) -> set[int]:
        """End what had not begun; let the others end, which PDEATHSIG has seen to. Their sessions."""
        self.spares.drop_all()  # they have run nothing, so nothing descends from them
        sessions = set()
        # Also who has answered, or ended: a template that lived on has reaped it, and only that clears a run.
        begun = (Phase.RUNNING, Phase.REAPING)
        blamed = self._owner.blamed([one.key for one in self.attempts.values() if one.phase in begun])
        for attempt in list(self.attempts.values()):
            if attempt.process is not None:
                sessions.add(attempt.process.pid)
            attempt.is_blamed = attempt.key == blamed
            if attempt.phase is Phase.RUNNING:
                attempt.orphan(reason)
            else:
                self._end(attempt, None, reason)
        return sessions

    def _refuse(self, attempt: Attempt, reason: str) -> None:
        self._owes_spares = False  # whoever hears of the end shall not ask for more at once
        self._end(attempt, None, reason)
        self._owner.on_refused(reason)

    def _end(self, attempt: Attempt, status: int | None, gone: str = "") -> None:
        del self.attempts[attempt.key]
        del self._by_number[attempt.number]
        self._owner.on_ended(attempt.finish(status, time.monotonic(), gone), attempt.sent_s)
