"""The executor for throughput: long-lived children, forked from the same warm template, with several runs in hand each.

It gives runs to the children of a crew (crew.py): who gets which, what waits, what is given back. A child that must die
takes only the run it was on.
"""

import math
import sys
import time
from collections import deque
from collections.abc import Mapping
from selectors import BaseSelector
from typing import Final

from reproq.errors import ProtocolError
from reproq.executors import Ended, defaults
from reproq.executors.children import bad_spec
from reproq.executors.crew import Crew
from reproq.executors.member import Member
from reproq.executors.order import Bounds, Order
from reproq.executors.orphans import Adopted
from reproq.executors.pace import Pace
from reproq.executors.suspects import Suspects
from reproq.executors.template import Launch
from reproq.frames import frame
from reproq.lifecycle import Key, Outcome, Release
from reproq.wire import Payload

MAX_RUNS: Final = 10_000
POLL_SECONDS: Final = 0.002
"""How often children with several runs in hand are looked at."""


class PoolExecutor:
    """Runs payloads in `concurrency` children of a template that `setup` prepares. See the protocol `Executor`, and for
    the calling thread `ForkExecutor`. `max_runs` and `max_rss_bytes` bound the life of a child, 0 does not."""

    def __init__(
        self,
        setup: str,
        *,
        concurrency: int,
        environment: Mapping[str, str],
        path: tuple[str, ...] = (),
        python: str = sys.executable,
        timeout_seconds: float = defaults.TIMEOUT_SECONDS,
        kill_grace_seconds: float = defaults.KILL_GRACE_SECONDS,
        output_bytes: int = defaults.OUTPUT_BYTES,
        max_return_bytes: int = defaults.MAX_RETURN_BYTES,
        import_timeout_seconds: float = defaults.IMPORT_TIMEOUT_SECONDS,
        max_runs: int = MAX_RUNS,
        max_rss_bytes: int = 0,
        max_memory_bytes: int = 0,
    ) -> None:
        self._launch = Launch(
            setup, dict(environment), python, max_return_bytes, import_timeout_seconds, path, max_memory_bytes
        )
        self._concurrency = concurrency
        self._timeout_seconds = timeout_seconds
        self._grace_seconds = kill_grace_seconds
        self._bounds = Bounds(output_bytes, max_return_bytes, max_runs, max_rss_bytes)
        self._adopted: Adopted
        self._crew: Crew | None = None
        self._places: dict[Key, Member | None] = {}  # None: it waits for a child
        self._waiting: deque[Order] = deque()
        self._ended: list[Ended] = []
        self._pace = Pace()
        self._suspects = Suspects()
        self._next_poll_s = 0.0
        self._may_feed = False  # something has changed since the waiting runs were looked at

    imports_once = True

    @property
    def ready(self) -> bool:
        return self._crew is not None and self._crew.supervisor.ready and self._crew.paused_until is None

    @property
    def running(self) -> int:
        return len(self._places) + len(self._ended)

    @property
    def template_pid(self) -> int | None:
        """The process id of the living template, for people."""
        template = self._crew.template if self._crew is not None else None
        return template.process.pid if template is not None else None

    def ahead(self, trip_seconds: float) -> int:
        now = time.monotonic()
        serving = self._crew.serving if self._crew is not None else []
        return self._pace.ahead(sum(not member.is_on_a_long_run(now) for member in serving), trip_seconds)

    def start(self, selector: BaseSelector) -> None:
        self._adopted = Adopted()
        self._crew = Crew(
            self._launch, self._concurrency, self._grace_seconds, self._bounds, selector, self._pace, self
        )
        self._crew.supervisor.start()

    def submit(self, key: Key, payload: Payload) -> None:
        if key in self._places:
            raise ValueError(f"run {key[0]} is running already under this claim token")
        seconds = self._timeout_seconds if payload.timeout_seconds is None else payload.timeout_seconds
        try:
            framed = frame(payload.encode())
        except (ProtocolError, ValueError) as error:
            self._ended.append(Ended(key, bad_spec(f"the payload cannot be sent: {error}"), None, time.monotonic()))
            return
        self._places[key] = None
        self._waiting.append(Order(key, framed, seconds))
        self._may_feed = True

    def stop(self, key: Key, outcome: Outcome, grace_seconds: float | None = None) -> None:
        member = self._places.get(key)
        if member is not None and self._crew is not None:
            self._crew.take_back(member)  # the run was not begun, or the child ends with it
            member = self._places.get(key)
        if member is not None:
            member.stop(outcome, time.monotonic(), grace_seconds)
        elif key in self._places:
            self._waiting = deque(order for order in self._waiting if order.key != key)
            self.on_ended(Ended(key, outcome, None, time.monotonic()))

    def withdraw(self, reason: str) -> None:
        if self._crew is not None:
            self._crew.take_all_back()
        self._release_waiting(reason)

    def deadline(self) -> float | None:
        if self._may_feed:
            return 0.0
        if self._crew is None:
            return None
        soonest = min(self._crew.moments())
        if self._waiting:
            soonest = min(soonest, self._suspects.due_at(time.monotonic()), self._patience_ends_at(self._crew))
        if self._crew.polled():
            soonest = min(soonest, self._next_poll_s)
        return None if soonest == math.inf else soonest

    def tick(self) -> None:
        now = time.monotonic()
        if self._crew is None:
            return
        if now >= self._next_poll_s:
            self._poll(self._crew, now)
        self._crew.tick(now)
        if self._crew.supervisor.is_failing:
            self._release_waiting("no template could be prepared: another worker may take this one")
        if self._may_feed or (
            self._waiting and (self._suspects.is_due(now) or now >= self._patience_ends_at(self._crew))
        ):
            self._feed(self._crew, now)

    def take_ended(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def take_notices(self) -> list[str]:
        return self._crew.supervisor.take_notices() if self._crew is not None else []

    def reap_adopted(self) -> None:
        self._adopted.reap({pid} if (pid := self.template_pid) is not None else frozenset())

    def close(self) -> None:
        if self._crew is not None:
            self._crew.close()
        self._release_waiting("the executor was closed")
        self._may_feed = False

    # -- what the crew tells ------------------------------------------------------------------------------------------

    def on_ended(self, ended: Ended) -> None:
        del self._places[ended.key]
        self._suspects.ended(ended)
        self._ended.append(ended)
        self._may_feed = True

    def on_returned(self, orders: list[Order]) -> None:
        """They wait again, in front: they were claimed first."""
        for order in orders:
            self._places[order.key] = None
        self._waiting.extendleft(reversed(orders))
        self._may_feed = True

    def on_change(self) -> None:
        self._may_feed = True

    def on_nobody(self, reason: str) -> None:
        self._release_waiting(reason)

    def on_death(self, under_way: list[Key], *, others: bool) -> Key | None:
        return self._suspects.blamed(under_way, time.monotonic(), others=others)

    # -- giving out ---------------------------------------------------------------------------------------------------

    def _poll(self, crew: Crew, now_s: float) -> None:
        """Look at the children that have several runs in hand, and take back what waits behind a long one."""
        self._next_poll_s = now_s + POLL_SECONDS
        for member in crew.polled():
            crew.collect(member)
            if member.is_polled and member.is_on_a_long_run(now_s):
                crew.take_back(member)

    def _feed(self, crew: Crew, now_s: float) -> None:
        """Give what waits to children that have room, a fair share each; give back what nobody here takes soon."""
        self._may_feed = False
        if not self._waiting:
            return
        depth = self._pace.fed
        serving, busy = crew.serving, crew.busy
        is_idle = not busy
        held = self._hold_back(now_s, is_idle=is_idle)
        free = sorted((member for member in serving if member.room(depth, now_s)), key=lambda one: len(one.orders))
        for index, member in enumerate(free):
            if not member.orders:
                if busy >= self._concurrency:
                    continue  # one that is to leave still works in its place
                busy += 1
            share = math.ceil(len(self._waiting) / (len(free) - index))
            orders = [self._waiting.popleft() for _ in range(min(share, member.room(depth, now_s)))]
            if not orders:
                break
            for order in orders:
                self._places[order.key] = member
                self._suspects.begins(order.key, now_s, is_idle=is_idle)
            crew.give(member, orders, now_s)
        self._waiting.extendleft(reversed(held))
        if self._waiting and serving and all(member.is_on_a_long_run(now_s) for member in serving):
            self._release_waiting("every child is on a long run: another worker may take this one")

    def _patience_ends_at(self, crew: Crew) -> float:
        """When all children are on long runs, so that what waits had better be left to others; infinity for never. A
        child that is still to come may take it."""
        serving = crew.serving
        is_whole = len(serving) >= self._concurrency or crew.paused_until is not None
        return max((member.long_from_s for member in serving), default=math.inf) if is_whole else math.inf

    def _hold_back(self, now_s: float, *, is_idle: bool) -> list[Order]:
        """Take out of what waits what may not begin now: suspects but one at most, and others while one is tried."""
        held: list[Order] = []
        if self._suspects:
            waiting, self._waiting = self._waiting, deque()
            suspect, may_others = self._suspects.turn([order.key for order in waiting], now_s, is_idle=is_idle)
            for order in waiting:
                if order.key == suspect:
                    self._waiting.appendleft(order)
                elif may_others and order.key not in self._suspects:
                    self._waiting.append(order)
                else:
                    held.append(order)
        return held

    def _release_waiting(self, reason: str) -> None:
        now = time.monotonic()
        while self._waiting:
            self.on_ended(Ended(self._waiting.popleft().key, Release(reason, started=False), None, now))
