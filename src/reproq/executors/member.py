"""One long-lived child of a pool, from the worker's side: what it has in hand, its deadlines, and how it ended.

Its answers come in the order of what it was given, so the first run without an answer is the one it is on. It refuses
to know the other children, and who starts and reaps processes.
"""

import math
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from selectors import EVENT_READ, BaseSelector
from typing import Final

from reproq.child import kernel
from reproq.child.service import BARRIER
from reproq.errors import ProtocolError
from reproq.executors import Ended
from reproq.executors.attempt import Phase
from reproq.executors.children import Ending, Process, bad_reply, timed_out, unanswered
from reproq.executors.order import Bounds, Order
from reproq.executors.pace import LONG_SECONDS, Pace
from reproq.executors.stream import MARK_BYTES, MarkedOutput, Stream
from reproq.executors.suspects import killed_its_template
from reproq.executors.tickets import Tickets
from reproq.frames import frame
from reproq.lifecycle import Outcome, Release, Success
from reproq.output import Output
from reproq.wire import decode_reply

LOOK_SECONDS: Final = 0.05
"""How often, at most, the memory of a child is looked at."""


class Member:
    """One child. Its methods return at once."""

    def __init__(self, number: int, selector: BaseSelector, grace_seconds: float, bounds: Bounds) -> None:
        """Make its channel, output and tickets. Raises OSError with nothing left open."""
        self.number = number
        self.phase = Phase.FORKING
        self.process: Process | None = None
        self.orphaned = ""  # why nobody will say how it ended
        self.is_blamed = False  # for that: its run has killed the template
        self.given = 0
        self.is_leaving = False  # it gets no more runs
        self.orders: deque[Order] = deque()
        self.head_since_s = 0.0
        self.last_answer_s = -math.inf
        self.ending = Ending(grace_seconds)
        self._bounds = bounds
        self._selector = selector
        self._stopped_with: Outcome | None = None
        self._barriers = 0
        self._next_look_s = 0.0
        self._oom_kills: int | None = None
        self._watches_exit = False
        self._on_heard: Callable[[], None]
        self._on_exit: Callable[[Member], None]
        mark = secrets.token_bytes(MARK_BYTES)
        with ExitStack() as made:
            make = made.enter_context
            self._tickets = make(closing(Tickets()))
            self._stream = make(closing(Stream(selector, bounds.max_return_bytes, lambda: self._on_heard())))
            self._output = make(closing(MarkedOutput(selector, bounds.output_bytes, mark)))
            self._tickets_of_child = self._tickets.for_child()
            made.pop_all()
        self._stream.send(frame(mark))

    def ends(self) -> tuple[int, int, int]:
        """The child's ends of channel, output and tickets, for the template; whoever sends them closes them."""
        return self._stream.theirs.detach(), self._output.detach_writer(), self._tickets_of_child

    def begin(self, process: Process, on_heard: Callable[[], None], on_exit: Callable[["Member"], None]) -> None:
        """The process is there, and waits for runs."""
        self.process = process
        self.phase = Phase.RUNNING
        self._on_heard = on_heard
        self._on_exit = on_exit
        self._selector.register(process.pidfd, EVENT_READ, self._exited)
        self._watches_exit = True
        self._watch()

    # -- what it has in hand ------------------------------------------------------------------------------------------

    @property
    def serves(self) -> bool:
        """Whether it can be given runs, now or when it has done what it has."""
        return self.phase is Phase.RUNNING and not self.is_leaving

    @property
    def is_apart(self) -> bool:
        """Whether it has yet to pass over what was taken back, and gets nothing before that."""
        return self._barriers > 0

    @property
    def works_off(self) -> bool:
        """Whether it leaves only because it has been given all that it was to do."""
        return 0 < self._bounds.max_runs <= self.given and not self.ending.asked

    @property
    def is_hung_up(self) -> bool:
        """Whether it can hear of nothing more."""
        return self._stream.is_closed

    @property
    def is_polled(self) -> bool:
        """Whether nobody waits for its answers: look at it soon."""
        return self.phase is Phase.RUNNING and len(self.orders) > 1

    @property
    def long_from_s(self) -> float:
        """When what waits behind its run had better go elsewhere, infinity for never."""
        return self.head_since_s + LONG_SECONDS if self.orders else math.inf

    def is_on_a_long_run(self, now_s: float) -> bool:
        """Whether that moment is over."""
        return now_s >= self.long_from_s

    def room(self, depth: int, now_s: float) -> int:
        """How many more runs to give it now, when it shall hold `depth` of them. None while half of that is left: each
        sending costs the same, however much is sent."""
        if not self.serves or self._barriers or len(self.orders) > depth // 2 or self.is_on_a_long_run(now_s):
            return 0
        room = depth - len(self.orders)
        return min(room, self._bounds.max_runs - self.given) if self._bounds.max_runs else room

    def give(self, orders: Iterable[Order], now_s: float) -> None:
        """Runs for it, to be begun in this order."""
        was_idle = not self.orders
        new = list(orders)
        self.orders.extend(new)
        self.given += len(new)
        if was_idle:
            self._oom_kills = kernel.oom_kills()
            self._next_head(now_s)
        self._tickets.give(len(new))  # before the payloads: one without a ticket would be passed over
        self._stream.send(b"".join([order.framed for order in new]))
        self.is_leaving |= 0 < self._bounds.max_runs <= self.given
        self._watch()

    def take_back(self) -> list[Order]:
        """The runs that it has not begun, and now never will. After this and `collect`, at most one is left."""
        if not (count := self._tickets.take_back(len(self.orders))):
            return []
        back = [self.orders.pop() for _ in range(count)]
        back.reverse()
        if not self.orders:
            self._next_head(self.head_since_s)
        self.given -= count
        self._barriers += 1
        self._stream.send(frame(BARRIER))
        self._watch()
        return back

    def collect(self, pace: Pace) -> list[Ended]:
        """The runs that it has answered since the last call; `pace` learns how long they took."""
        messages = self._stream.receive()
        now = time.monotonic()
        if not messages and not self._stream.fault:
            if self.is_polled:
                self._output.drain()  # a run that prints much must not wait for us
            if self._stream.is_closed and not self.is_leaving:  # it is ending, or a task has closed its channel
                self.hang_up(now)
            return []
        ended: list[Ended] = []
        for message in messages:
            if message == BARRIER:
                self._barriers -= 1
                continue
            try:
                ended.append(self._answer(message, now))
            except (ProtocolError, ValueError, RecursionError) as error:
                self._stream.break_off(str(error))
                break
        if self._stream.fault:
            self.ask_to_end(now)
        elif ended:
            last_s = max(ended[-1].ended_s, self.head_since_s)
            self.last_answer_s = last_s
            pace.add(last_s - self.head_since_s, len(ended))
            self._after_answers(last_s, now)
        return ended

    def _answer(self, message: bytes, now_s: float) -> Ended:
        if not self.orders or self._barriers < 0:
            raise ProtocolError("it answered more than it was asked")
        reply = decode_reply(message)
        order = self.orders.popleft()
        outcome: Outcome = reply.outcome
        # A failure that came after TERM was made by it: what the run was stopped for is the truth then.
        if self._stopped_with is not None and not isinstance(outcome, Success):
            outcome = self._stopped_with
        ended_s = now_s
        if reply.started_s is not None and reply.elapsed_s is not None:
            ended_s = min(now_s, reply.started_s + reply.elapsed_s)
        return Ended(order.key, outcome, reply.started_s, ended_s, self._output.take())

    def _after_answers(self, last_s: float, now_s: float) -> None:
        self._next_head(last_s)
        if self.ending.asked:
            return
        bound = self._bounds.max_rss_bytes
        if bound and self.process is not None and now_s >= self._next_look_s:
            self._next_look_s = now_s + LOOK_SECONDS
            self.is_leaving = self.is_leaving or kernel.resident_bytes(self.process.pid) > bound
        self._watch()

    def _next_head(self, since_s: float) -> None:
        self.head_since_s = since_s
        if not self.ending.asked:
            self.ending.timeout_at = since_s + self.orders[0].timeout_seconds if self.orders else math.inf

    # -- its end ------------------------------------------------------------------------------------------------------

    def stop(self, outcome: Outcome, now_s: float, grace_seconds: float | None = None) -> None:
        """End the run that it is on with `outcome`, and so itself. What waits behind must have been taken back."""
        if self.phase is Phase.RUNNING:
            if self._stopped_with is None:
                self._stopped_with = outcome
            self.ask_to_end(now_s, grace_seconds)

    def stop_overdue(self, now_s: float) -> None:
        """Stop the run that it is on for its timeout."""
        if self.orders:
            self.stop(timed_out(self.orders[0].timeout_seconds), now_s)

    def ask_to_end(self, now_s: float, grace_seconds: float | None = None) -> None:
        """TERM, the grace, KILL."""
        self.is_leaving = True
        if self.process is not None and self.phase is Phase.RUNNING:
            self.ending.ask(self.process, now_s, grace_seconds)

    def hang_up(self, now_s: float) -> None:
        """It has nothing left to do: it ends by itself, or is killed after the grace."""
        self.is_leaving = True
        self._stream.close()
        self.ending.expect_end(now_s)

    def reaping(self) -> None:
        """The process has ended: nothing is due any more."""
        self.phase = Phase.REAPING
        self.ending.call_off()

    def orphan(self, reason: str) -> None:
        """The template has died, so the process is dying, and nobody will say how it ended."""
        self.phase = Phase.ORPHANED
        self.orphaned = reason
        self.ending.call_off()
        if self.process is not None:
            self.process.kill_leader()

    def finish(self, status: int | None, now_s: float, gone: str = "") -> list[Ended]:
        """Close everything and say how the run ended that it was on, if there was one: with an exit status, or `gone`
        with the reason for having none. It must have been collected, and what it had not begun taken back."""
        in_reply = self._stream.in_reply
        self._stream.close()
        output = self._output.close()
        self._tickets.close()
        if self.process is not None:
            self._unwatch_exit()
            self.process.close()
            self.process = None
        self.is_leaving = True
        self.phase = Phase.REAPING
        if not self.orders:
            return []
        outcome = self._outcome(status, output, gone, in_reply=in_reply)
        ended = [Ended(self.orders.popleft().key, outcome, self.head_since_s, now_s, output)]
        # A task that broke the channel took the answers of others along, or their tickets: nobody knows how far they
        # have come.
        lost = Release("the run before it in the same child broke their channel to the worker", started=True)
        while self.orders:
            ended.append(Ended(self.orders.popleft().key, lost, self.head_since_s, now_s))
        return ended

    def _outcome(self, status: int | None, output: Output, gone: str, *, in_reply: bool) -> Outcome:
        if self._stopped_with is not None:
            return self._stopped_with
        fault = self._stream.fault
        if gone and not fault:
            return killed_its_template(gone) if self.is_blamed else Release(gone, started=True)
        if self.ending.killed and not fault:
            return bad_reply("the child closed its channel before it replied, went on, and was killed", output)
        return unanswered(status, output, fault=fault, in_reply=in_reply, oom_kills=self._oom_kills)

    def _watch(self) -> None:
        is_watched = self.phase is Phase.RUNNING and len(self.orders) < 2
        self._stream.watch(is_watched)
        self._output.watch(is_watched)

    def _exited(self) -> None:
        self._unwatch_exit()
        self._on_exit(self)

    def _unwatch_exit(self) -> None:
        if self._watches_exit and self.process is not None:
            self._selector.unregister(self.process.pidfd)
            self._watches_exit = False
