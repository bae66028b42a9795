"""One attempt in a process, from the worker's side: its channel, its output, its deadlines, and how it ended.

It refuses to know who starts processes: its owner hands one in, hears when that has ended, and has it reaped.
"""

import time
from collections.abc import Callable
from enum import Enum, auto
from selectors import EVENT_READ, BaseSelector

from reproq.child import kernel
from reproq.executors import Ended
from reproq.executors.channel import Channel, Exchange
from reproq.executors.children import Ending, Process, timed_out, unanswered
from reproq.executors.output import OutputPipe
from reproq.executors.suspects import killed_its_template
from reproq.lifecycle import Key, Outcome, Release, Success
from reproq.output import Output


class Phase(Enum):
    """How far an attempt has come."""

    QUEUED = auto()  # it has not been asked for
    FORKING = auto()  # the template has been asked
    SPARE = auto()  # there is a process, forked ahead, and no run for it yet
    RUNNING = auto()  # there is a process
    REAPING = auto()  # the process has ended; the template has been asked to reap it
    ORPHANED = auto()  # the template has died; the process ends with it


class Attempt:
    """One attempt. Its methods return at once."""

    def __init__(self, key: Key, number: int, framed: bytes, timeout_seconds: float, grace_seconds: float) -> None:
        self.key = key
        self.number = number
        self.timeout_seconds = timeout_seconds
        self.phase = Phase.QUEUED
        self.ending = Ending(grace_seconds)
        self.made_s = time.monotonic()
        self.process: Process | None = None
        self.stopped_with: Outcome | None = None
        self.sent_s: float | None = None
        self.oom_kills: int | None = None
        self.orphaned = ""  # why nobody will say how the process ended
        self.is_blamed = False  # for that: its run has killed the template
        self._framed = framed
        self._channel: Exchange | None = None
        self._output: OutputPipe | None = None
        self._selector: BaseSelector
        self._on_exit: Callable[[Attempt], None]
        self._watching = False

    def open(
        self, selector: BaseSelector, output_bytes: int, max_return_bytes: int, idle_seconds: float = 0.0
    ) -> tuple[int, int]:
        """Make channel and output pipe; the child's ends of both, for the template. Raises OSError.

        A child whose payload has not come within `idle_seconds` warms itself meanwhile; with 0 it just waits.
        """
        self._selector = selector
        self._channel = channel = Channel(selector, self._framed, max_return_bytes, self.answered)
        if idle_seconds:
            kernel.bound_wait(channel.theirs, idle_seconds)
        self._output = OutputPipe(selector, output_bytes)
        self._framed = b""
        self.phase = Phase.FORKING
        return channel.theirs.detach(), self._output.detach_writer()

    def attach(self, selector: BaseSelector, channel: Exchange, output: OutputPipe) -> None:
        """Take both from the owner, who has made them; `open` is for those who need nothing special."""
        self._selector = selector
        self._channel = channel
        self._output = output

    def begin(self, process: Process, on_exit: Callable[["Attempt"], None]) -> None:
        """The process is there, and cannot start before it has its payload: send that, unless the run was stopped."""
        self.stand_by(process, on_exit)
        self._run(process)

    def stand_by(self, process: Process, on_exit: Callable[["Attempt"], None]) -> None:
        """The process is there, forked ahead: it waits for a run."""
        self.process = process
        self.phase = Phase.SPARE
        self._on_exit = on_exit
        self._selector.register(process.pidfd, EVENT_READ, self._exited)
        self._watching = True

    def assign(self, key: Key, framed: bytes, timeout_seconds: float) -> None:
        """Give what was forked ahead its run: it begins now, or when its process is there."""
        self.key = key
        self.timeout_seconds = timeout_seconds
        if isinstance(self._channel, Channel):
            self._channel.load(framed)
        if self.process is not None:
            self._run(self.process)

    def _run(self, process: Process) -> None:
        self.phase = Phase.RUNNING
        if self.stopped_with is not None:
            process.kill()
        elif self._channel is not None:
            self.oom_kills = kernel.oom_kills()
            self.sent_s = time.monotonic()
            self.ending.timeout_at = self.sent_s + self.timeout_seconds
            self._channel.start()

    def has_run_since(self, moment_s: float) -> bool:
        """Whether its run began before that moment and is not over."""
        return self.phase is Phase.RUNNING and self.sent_s is not None and self.sent_s < moment_s

    def stop(self, outcome: Outcome, grace_seconds: float | None = None) -> None:
        """End with `outcome`, unless the reply is here already: TERM now, KILL after the grace, and no later than an
        earlier call said."""
        if self.phase in (Phase.REAPING, Phase.ORPHANED):
            return  # it has ended, or is about to, for reasons of its own
        if self._channel is not None and self.phase is Phase.RUNNING:
            self._channel.receive()  # it may lie there unread
            if self._channel.reply is not None:
                return
        if self.stopped_with is None:
            self.stopped_with = outcome
        self._ask_to_end(grace_seconds)

    def act(self, now_s: float) -> None:
        """Do what is due: the timeout, or the kill after the grace."""
        if self.process is None:
            return
        if now_s >= self.ending.timeout_at:
            self.stop(timed_out(self.timeout_seconds))
        self.ending.kill_if_due(self.process, now_s)

    def reaping(self) -> None:
        """The process has ended: nothing is due any more."""
        self.phase = Phase.REAPING
        self.ending.call_off()

    def orphan(self, reason: str) -> None:
        """The template has died, so the process is dying (PDEATHSIG), and nobody will say how it ended."""
        self.phase = Phase.ORPHANED
        self.orphaned = reason
        self.ending.call_off()
        if self.process is not None:
            self.process.kill_leader()

    def finish(self, status: int | None, now_s: float, gone: str = "") -> Ended:
        """Close everything and say how it ended: with an exit status, or `gone` with the reason for having none."""
        if self._channel is not None:
            self._channel.receive()
        output = self._output.close() if self._output is not None else Output()
        if self._channel is not None:
            self._channel.conclude(status)
            self._channel.close()
        self._unwatch()
        if self.process is not None:
            self.process.close()
            self.process = None
        reply = self._channel.reply if self._channel is not None else None
        started_s = reply.started_s if reply is not None else self.sent_s
        return Ended(self.key, self._outcome(status, output, gone), started_s, now_s, output)

    def _outcome(self, status: int | None, output: Output, gone: str) -> Outcome:
        channel = self._channel
        if channel is not None and channel.reply is not None:
            answer = channel.reply.outcome
            # A failure that came after TERM was made by it: what the run was stopped for is the truth then.
            if self.stopped_with is None or isinstance(answer, Success):
                return answer
        if self.stopped_with is not None:
            return self.stopped_with
        if gone and not (channel is not None and channel.fault):
            return killed_its_template(gone) if self.is_blamed else Release(gone, started=self.sent_s is not None)
        fault, in_reply = (channel.fault, channel.in_reply) if channel is not None else ("", False)
        return unanswered(status, output, fault=fault, in_reply=in_reply, oom_kills=self.oom_kills)

    def answered(self) -> None:
        """It has replied, or broken the protocol: either way it has the grace to end, and no more."""
        if self._channel is not None and self._channel.fault:
            self._ask_to_end()
        else:
            self.ending.expect_end(time.monotonic())

    def _ask_to_end(self, grace_seconds: float | None = None) -> None:
        if self.process is not None and self.phase is Phase.RUNNING:
            self.ending.ask(self.process, time.monotonic(), grace_seconds)

    def _exited(self) -> None:
        self._unwatch()
        self._on_exit(self)

    def _unwatch(self) -> None:
        if self._watching and self.process is not None:
            self._selector.unregister(self.process.pidfd)
            self._watching = False
