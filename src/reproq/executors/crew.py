"""The children of a pool: hired from the template before they are missed, listened to, let go, and buried.

It refuses to know which run goes to which child, and what becomes of a run: its owner is told what ended, what came
back unbegun, and that there is something to be given out.
"""

import os
import time
from collections.abc import Iterator
from selectors import BaseSelector
from typing import Final, Protocol

from reproq.child.control import Packet, Verb
from reproq.executors import Ended, defaults
from reproq.executors.attempt import Phase
from reproq.executors.children import Process
from reproq.executors.member import Member
from reproq.executors.order import Bounds, Order
from reproq.executors.pace import Pace
from reproq.executors.supervisor import Supervisor
from reproq.executors.template import Launch, TemplateProcess
from reproq.lifecycle import Key

NEARLY: Final = 0.9
"""When a child has had this share of its runs, the next one is forked."""
NOTICE_SECONDS: Final = 1.0
"""So long after its death, at most, a template is known to be dead: who has answered before that has not killed it."""


class Owner(Protocol):
    """What a crew tells."""

    def on_ended(self, ended: Ended) -> None:
        """A run has ended."""

    def on_returned(self, orders: list[Order]) -> None:
        """These runs were not begun, and never will be by who had them."""

    def on_change(self) -> None:
        """Somebody may have become free."""

    def on_nobody(self, reason: str) -> None:
        """There is no child, and none can be had for a moment."""

    def on_death(self, under_way: list[Key], *, others: bool) -> Key | None:
        """The template has died while these were under way: which of them is to blame, if that can be told. `others`:
        besides them there are runs that may be."""


class Crew:
    """`size` children, kept at that number. `pause_s` is set while none can be had."""

    def __init__(
        self,
        launch: Launch,
        size: int,
        grace_seconds: float,
        bounds: Bounds,
        selector: BaseSelector,
        pace: Pace,
        owner: Owner,
    ) -> None:
        self.paused_until: float | None = None
        self._size = size
        self._grace_seconds = grace_seconds
        self._bounds = bounds
        self._selector = selector
        self._pace = pace
        self._owner = owner
        self._members: dict[int, Member] = {}
        self._last_number = 0
        self.supervisor = Supervisor(launch, selector, self._on_packet, self.hire, self._on_death)

    @property
    def template(self) -> TemplateProcess | None:
        """The living template."""
        return self.supervisor.template

    @property
    def serving(self) -> list[Member]:
        """Who can be given runs, now or soon; no more than the size, the oldest first."""
        return [member for member in self._members.values() if member.serves][: self._size]

    @property
    def busy(self) -> int:
        """How many have something to do."""
        return sum(bool(member.orders) for member in self._members.values())

    def polled(self) -> list[Member]:
        """Whose answers nobody waits for: somebody must look."""
        return [member for member in self._members.values() if member.is_polled]

    def moments(self) -> Iterator[float]:
        """When `tick` has something to do."""
        yield self.supervisor.due_at()
        for member in self._members.values():
            yield member.ending.due_at()
        if self.paused_until is not None:
            yield self.paused_until

    def tick(self, now_s: float) -> None:
        """Act on what is due."""
        if self.paused_until is not None and now_s >= self.paused_until:
            self.paused_until = None
            self.hire()
        for member in list(self._members.values()):
            if now_s >= member.ending.due_at():
                self._act(member, now_s)
        self.supervisor.tick(now_s)

    def collect(self, member: Member) -> None:
        """Hear what a child has answered; let it go when it shall leave."""
        was_apart = member.is_apart
        for ended in member.collect(self._pace):
            self._owner.on_ended(ended)
        if was_apart and not member.is_apart:
            self._owner.on_change()
        if member.is_leaving and member.phase is Phase.RUNNING:
            self._let_go(member)

    def give(self, member: Member, orders: list[Order], now_s: float) -> None:
        """Give runs to a child; see to its successor in time."""
        member.give(orders, now_s)
        if self._nearly_served(member):
            self.hire()

    def _nearly_served(self, member: Member) -> bool:
        return 0 < self._bounds.max_runs * NEARLY <= member.given

    def take_back(self, member: Member) -> None:
        """Take back what a child has not begun. At most one run is left to it."""
        self.collect(member)
        if orders := member.take_back():
            self._owner.on_returned(orders)
        self.collect(member)

    def take_all_back(self) -> None:
        """Take back what no child has begun."""
        for member in list(self._members.values()):
            self.take_back(member)

    def hire(self) -> None:
        """Have children forked until there are enough, one more when one has nearly served its time."""
        template = self.template
        if template is None or not template.ready or self.paused_until is not None:
            return
        staying = [member for member in self._members.values() if not member.is_leaving]
        wanted = self._size + any(map(self._nearly_served, staying))
        for _ in range(wanted - len(staying)):
            self._last_number = (self._last_number + 1) & 0xFFFFFFFF
            try:
                member = Member(self._last_number, self._selector, self._grace_seconds, self._bounds)
            except OSError as error:
                self._pause(f"the worker could not prepare a child: {error}")
                return
            self._members[member.number] = member
            template.say(Packet(Verb.FORK, member.number, descriptors=member.ends()))

    def close(self) -> None:
        """Kill every process that is left; what they were on ends with a Release."""
        self.supervisor.close()
        for member in list(self._members.values()):
            if member.process is not None:
                member.process.kill_leader()
            self._bury(member, None, "the executor was closed")

    def _act(self, member: Member, now_s: float) -> None:
        """The timeout of the run that it is on, or the kill after the grace."""
        if now_s >= member.ending.timeout_at:
            self.take_back(member)
            if now_s >= member.ending.timeout_at:  # else it has answered meanwhile
                member.stop_overdue(now_s)
        if member.process is not None:
            member.ending.kill_if_due(member.process, now_s)

    def _let_go(self, member: Member) -> None:
        """It is to leave. What it has not begun goes to others, unless that is the last of what it was to do; it ends
        when it has answered."""
        if len(member.orders) > 1 and not member.works_off:
            if orders := member.take_back():  # none, when the child has taken the tickets and its answers are lost
                self._owner.on_returned(orders)
        elif not member.orders and not member.is_hung_up:
            member.hang_up(time.monotonic())
        self._owner.on_change()
        self.hire()

    def _on_packet(self, packet: Packet) -> None:
        member = self._members.get(packet.run)
        match packet.verb:
            case Verb.FORKED:
                self._on_forked(packet, member)
            case Verb.REFUSED if member is not None:
                self._bury(member, None, packet.text)
                self._pause(f"no child could be forked: {packet.text}")
            case Verb.REAPED if member is not None:
                self._bury(member, os.waitstatus_to_exitcode(packet.value))

    def _on_forked(self, packet: Packet, member: Member | None) -> None:
        if member is not None and packet.descriptors:
            process = Process(packet.value, packet.descriptors[0])
            member.begin(process, lambda: self.collect(member), self._on_exit)
            self._owner.on_change()
            return
        for descriptor in packet.descriptors:
            os.close(descriptor)
        # Without its pidfd we cannot keep it, and it ends by itself when nobody holds its channel.
        if member is not None:
            self._pause("the worker has no descriptor left for another child")
            self._bury(member, None, "no descriptor was left")
        if self.template is not None:
            self.template.say(Packet(Verb.REAP, packet.run))

    def _pause(self, reason: str) -> None:
        """The system has nothing left for another process: go on with those there are."""
        self.paused_until = time.monotonic() + defaults.PAUSE_SECONDS
        if not self.serving:
            self._owner.on_nobody(reason)

    def _on_exit(self, member: Member) -> None:
        """A child has ended and is a zombie: nobody else can have its pid, so its group can be killed safely."""
        if member.process is None:
            return
        if self.template is None or member.phase is Phase.ORPHANED:
            self._bury(member, None, member.orphaned)
            return
        member.process.kill()
        member.reaping()
        self.template.say(Packet(Verb.REAP, member.number))
        if not member.given:
            self._pause("a child ended before it was given a run")

    def _bury(self, member: Member, status: int | None, gone: str = "") -> None:
        self.take_back(member)
        for ended in member.finish(status, time.monotonic(), gone):
            self._owner.on_ended(ended)
        del self._members[member.number]
        self._owner.on_change()
        self.hire()

    def _on_death(self, reason: str) -> set[int]:
        """The template has died, and its children with it, which PDEATHSIG has seen to. Their sessions."""
        sessions = set()
        begun = [one for one in self._members.values() if one.phase in (Phase.RUNNING, Phase.REAPING)]
        # A run that has answered may have killed the template as its last act, and one behind it may have begun.
        others = any(len(one.orders) > 1 or one.last_answer_s > time.monotonic() - NOTICE_SECONDS for one in begun)
        blamed = self._owner.on_death([one.orders[0].key for one in begun if one.orders], others=others)
        for member in list(self._members.values()):
            if member.process is not None:
                sessions.add(member.process.pid)
            member.is_blamed = bool(member.orders) and member.orders[0].key == blamed
            if member.phase is Phase.RUNNING:
                member.orphan(reason)
            else:
                self._bury(member, None, reason)
        return sessions
