"""A process that runs one attempt, seen from the worker: its group, its deadlines, the words for how it ended.

It holds a pidfd, so it never signals a stranger; who may reap the process is the executor's affair.
"""

import contextlib
import math
import os
import select
import signal
from dataclasses import dataclass
from typing import Final

from reproq.child import kernel
from reproq.lifecycle import Failure, Kind, failure_of_kind
from reproq.output import Output

TAIL_CHARS: Final = 2000


@dataclass(frozen=True, slots=True)
class Process:
    """A process that leads its own session, and the pidfd that stands for it."""

    pid: int
    pidfd: int

    def terminate(self) -> None:
        """TERM to its whole group: it may clean up."""
        kernel.kill_quietly(self.pid, signal.SIGTERM, os.killpg)

    def kill(self) -> None:
        """KILL to its whole group. Call it only while the process is unreaped: until then no stranger has its pid."""
        kernel.kill_quietly(self.pid, signal.SIGKILL, os.killpg)
        # A fork that has not come to its setsid yet leads no group; its pidfd reaches it all the same.
        self.kill_leader()

    def kill_leader(self) -> None:
        """KILL to the process alone, safe at any time. One that has another user's rights (sudo) ends by itself."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def has_ended(self) -> bool:
        """Whether all its threads are gone; it may still be unreaped."""
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(0))

    def close(self) -> None:
        os.close(self.pidfd)


class Ending:
    """The escalation of one attempt: timeout, then TERM, then the grace, then KILL. Moments are CLOCK_MONOTONIC."""

    def __init__(self, grace_seconds: float) -> None:
        self.grace_seconds = grace_seconds
        self.timeout_at = math.inf
        self.kill_at = math.inf
        self.asked = False
        self.killed = False

    def due_at(self) -> float:
        """When there is something to do next, infinity for never."""
        return min(self.timeout_at, self.kill_at)

    def ask(self, process: Process, now_s: float, grace_seconds: float | None = None) -> None:
        """Ask the process to end, once. Who asks again can only shorten the grace."""
        grace = self.grace_seconds if grace_seconds is None else grace_seconds
        self.kill_at = min(self.kill_at, now_s + grace)
        if not self.asked:
            self.asked = True
            self.timeout_at = math.inf
            process.terminate()

    def expect_end(self, now_s: float) -> None:
        """It has answered and will end by itself; if it does not within the grace, kill it."""
        self.timeout_at = math.inf
        self.kill_at = min(self.kill_at, now_s + self.grace_seconds)

    def call_off(self) -> None:
        """It has ended: nothing is due any more."""
        self.timeout_at = self.kill_at = math.inf

    def kill_if_due(self, process: Process, now_s: float) -> None:
        """Kill it when its grace is over."""
        if now_s >= self.kill_at:
            self.kill_at = math.inf
            self.killed = True
            process.kill()


def timed_out(timeout_seconds: float) -> Failure:
    """The failure of an attempt that ran too long."""
    text = f"the attempt ran longer than its timeout of {timeout_seconds:g} s and was killed"
    return failure_of_kind(Kind.TIMEOUT, text)


def died(status: int, output: Output, *, in_reply: bool = False, out_of_memory: bool = False) -> Failure:
    """The failure of an attempt whose process ended before it had replied."""
    when = "in the middle of its reply" if in_reply else "before it replied"
    text = f"{exit_reason(status)} {when}{kill_hint(status, out_of_memory)}{tail_of(output)}"
    return failure_of_kind(Kind.CHILD_DIED, text)


def unanswered(status: int | None, output: Output, *, fault: str, in_reply: bool, oom_kills: int | None) -> Failure:
    """The failure of an attempt whose process has ended without a whole reply, or broke the protocol (`fault`).

    `oom_kills`: how many processes the kernel had killed for want of memory when the attempt began.
    """
    if fault:
        return bad_reply(f"the child broke the protocol: {fault}", output)
    if not status:
        when = "in the middle of its reply" if in_reply else "without a reply"
        return bad_reply(f"the child exited with code 0 {when}", output)
    out_of_memory = status == -signal.SIGKILL and kernel.oom_kills() != oom_kills
    return died(status, output, in_reply=in_reply, out_of_memory=out_of_memory)


def bad_reply(what: str, output: Output) -> Failure:
    """The failure of an attempt whose process broke the protocol."""
    return failure_of_kind(Kind.BAD_REPLY, f"{what}{tail_of(output)}")


def bad_spec(what: str) -> Failure:
    """The failure of a run whose spec cannot even be sent to a process."""
    return failure_of_kind(Kind.BAD_SPEC, what)


def kill_hint(status: int, out_of_memory: bool = False) -> str:
    """What to think of when a process was killed and nobody here did it. `out_of_memory`: the kernel counted such a
    kill in the worker's control group meanwhile."""
    if out_of_memory:
        return " (out of memory: the kernel killed it; give the worker more, or let fewer runs run at once)"
    return " (out of memory? see dmesg)" if status == -signal.SIGKILL else ""


def exit_reason(status: int) -> str:
    """An exit status in words, as `os.waitstatus_to_exitcode` gives it: minus a signal, or the exit code."""
    if status >= 0:
        return f"the child exited with code {status}"
    number = -status
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    meaning = f" ({signal.strsignal(number)})" if signal.strsignal(number) else ""
    return f"the child was killed by {name}{meaning}"


def tail_of(output: Output) -> str:
    """The end of what was printed, as the end of a message."""
    text = output.last_text.strip()
    if not text:
        return "; it printed nothing"
    return f"; the last it printed:\n{text[-TAIL_CHARS:]}"
