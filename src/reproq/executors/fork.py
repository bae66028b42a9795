"""The default executor: every run in a fresh child, forked from a warm template that a worker executed once.

It knows which runs wait for a child, and how long; the children are the brood's, the template the supervisor's. It
refuses to know what becomes of a run that has ended.
"""

import math
import sys
import time
from collections.abc import Mapping
from selectors import BaseSelector
from typing import Final

from reproq.errors import ProtocolError
from reproq.executors import Ended, defaults
from reproq.executors.brood import Brood
from reproq.executors.children import bad_spec
from reproq.executors.order import Order
from reproq.executors.pace import LONG_SECONDS, Pace
from reproq.executors.suspects import Suspects
from reproq.executors.template import Launch
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
        idle_seconds: float = defaults.IDLE_SECONDS,
        max_memory_bytes: int = 0,
    ) -> None:
        launch = Launch(
            setup, dict(environment), python, max_return_bytes, import_timeout_seconds, path, max_memory_bytes
        )
        self._timeout_seconds = timeout_seconds
        self._concurrency = concurrency or math.inf  # so many run at once, what else was submitted waits
        self._brood = Brood(
            launch,
            self,
            forks_ahead=forks_ahead,
            grace_seconds=kill_grace_seconds,
            output_bytes=output_bytes,
            idle_seconds=idle_seconds,
        )
        self._pace = Pace()
        self._suspects = Suspects()
        self._waiting = Waiting(self._suspects)
        self._ended: list[Ended] = []
        self._paused_until: float | None = None
        self._is_cramped = False  # the last process that was asked for could not be had

    imports_once = True

    @property
    def ready(self) -> bool:
        supervisor = self._brood.supervisor
        return supervisor is not None and supervisor.ready and self._paused_until is None

    @property
    def running(self) -> int:
        return len(self._brood.attempts) + len(self._waiting) + len(self._ended)

    @property
    def template_pid(self) -> int | None:
        """The process id of the living template, for people."""
        return template.process.pid if (template := self._brood.template) else None

    def start(self, selector: BaseSelector) -> None:
        self._brood.start(selector)

    def ahead(self, trip_seconds: float) -> int:
        if self._concurrency == math.inf or self._is_cramped:
            return 0
        long_since = time.monotonic() - LONG_SECONDS
        hands = int(self._concurrency) - sum(one.has_run_since(long_since) for one in self._brood.attempts.values())
        covers_a_trip = self._pace.ahead(hands, trip_seconds)
        return covers_a_trip and covers_a_trip + hands * FEEDS_AHEAD * self._pace.fed

    def submit(self, key: Key, payload: Payload) -> None:
        if key in self._brood.attempts or key in self._waiting:
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
        elif attempt := self._brood.attempts.get(key):
            attempt.stop(outcome, grace_seconds)

    def withdraw(self, reason: str) -> None:
        for key in list(self._waiting):
            self.stop(key, Release(reason, started=False))

    def deadline(self) -> float | None:
        if self._ended:
            return self._ended[0].ended_s
        moments = [self._brood.due_at(), self._patience_ends_at(), self._waiting.due_at(time.monotonic())]
        if self._paused_until is not None:
            moments.append(self._paused_until)
        return None if (soonest := min(moments)) == math.inf else soonest

    def tick(self) -> None:
        now = time.monotonic()
        if self._paused_until is not None and now >= self._paused_until:
            self._paused_until = None
        self._brood.tick(now)
        if self._brood.supervisor is not None and self._brood.supervisor.is_failing:
            self.withdraw("no template could be prepared: another worker may take this one")
        self._give_out()
        if now >= self._patience_ends_at():
            self.withdraw("every child is on a long run: another worker may take this one")

    def take_ended(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def take_notices(self) -> list[str]:
        return self._brood.supervisor.take_notices() if self._brood.supervisor is not None else []

    def reap_adopted(self) -> None:
        self._brood.reap_adopted()

    def close(self) -> None:
        self.withdraw("the executor was closed")
        self._brood.close()

    # -- giving out ---------------------------------------------------------------------------------------------------

    def _give_out(self) -> None:
        """Give what waits to children that wait, or have more of them forked; nothing while no process can be had.

        A template that forks takes a processor from the run that has just begun. So the next child is forked when the
        run has ended, unless one may be needed before.
        """
        while (
            self._brood.can_fork
            and self._paused_until is None
            and (free := self._concurrency - len(self._brood.busy)) > 0
            and (order := self._waiting.take(time.monotonic(), is_idle=not self._brood.attempts))
        ):
            self._brood.give(order)
            if len(self._brood.spares) < free - 1:
                self._brood.fork_ahead()
        if self._waiting and self._paused_until is None:
            self._brood.fork_ahead()

    def _patience_ends_at(self) -> float:
        """When what waits here had better be left to others, infinity for never."""
        starts = [attempt.sent_s for attempt in self._brood.busy] if self._waiting else []
        return self._waiting.patience_ends_at(starts, self._concurrency)

    # -- what the brood says ------------------------------------------------------------------------------------------

    def on_ready(self) -> None:
        self._give_out()

    def on_forked(self) -> None:
        self._is_cramped = False

    def on_refused(self, reason: str) -> None:
        """Leave all that waits to others, at once, and take nothing for a moment; then no more than can run."""
        self._paused_until = time.monotonic() + defaults.PAUSE_SECONDS
        self._is_cramped = True
        self.withdraw(reason)

    def on_ended(self, ended: Ended, sent_s: float | None) -> None:
        if sent_s is not None:
            self._pace.add(ended.ended_s - sent_s)
        self._ended.append(ended)
        self._suspects.ended(ended)
        self._brood.fork_ahead()

    def blamed(self, under_way: list[Key]) -> Key | None:
        return self._suspects.blamed(under_way, time.monotonic())
