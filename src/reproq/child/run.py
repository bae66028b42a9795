"""One run inside a child: read the payload, check its hash, call the runner, answer, end.

It refuses to know how the child came to be (template.py) and what a task is (the runner does).
"""

import contextlib
import os
import random
import select
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Final, Never

from reproq.child import kernel, memory
from reproq.child.payload import read_message
from reproq.child.reply import bounded
from reproq.frames import FrameBuffer, frame, sole_message
from reproq.lifecycle import Failure, Kind, Success
from reproq.wire import Reply

Runner = Callable[[dict[str, Any]], Success | Failure]
"""Runs the task that the message names and says how that ended. A setup function returns one (see `warming`, too)."""

EXIT_CANNOT_REPLY: Final = 70
READ_BYTES: Final = 65536


def nothing() -> None:
    """What a child does while it waits, unless it is told otherwise."""


def run_one(channel: int, runner: Runner, max_return_bytes: int, idle: Callable[[], None] = nothing) -> Never:
    """Wait for a payload on `channel`, run it, reply, and end this process. Returns never, whatever the task does.

    `idle` is called once, if nothing comes for as long as the descriptor waits (SO_RCVTIMEO).
    """
    code = EXIT_CANNOT_REPLY
    try:
        body = read_frame(channel, idle)
        if body is not None:  # else the worker changed its mind, or is gone
            answer_with(body, runner, max_return_bytes, lambda reply: write_all(channel, reply.encode()))
        code = 0
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
            sys.stderr.flush()
    finally:
        os._exit(code)


def answer_with(body: bytes, runner: Runner, max_return_bytes: int, write: Callable[[Reply], None]) -> Reply:
    """Run one payload and hand the reply, within its bounds, to `write`."""
    me = os.getpid()
    reply = bounded(attempt(body, runner), max_return_bytes)
    # A task may have forked, and its copy returns here as well: only the first process may answer.
    if os.getpid() == me:
        _flush()
        write(reply)
    return reply


def attempt(body: bytes, runner: Runner) -> Reply:
    """Run one payload and say how it ended; nothing that a task raises leaves here."""
    message, refusal = read_message(body)
    if refusal is not None:
        return Reply(refusal)
    random.seed(message["seed"])
    started_s = time.monotonic()
    outcome: Success | Failure
    try:
        outcome = runner(message)
        if not isinstance(outcome, (Success, Failure)):
            raise TypeError(f"the runner answered with {type(outcome).__name__}, not with Success or Failure")
    except BaseException as error:
        outcome = failure_of(error)
    return Reply(outcome, started_s, time.monotonic() - started_s)


def failure_of(error: BaseException) -> Failure:
    """What is stored of an exception: its dotted class, its text, its traceback. Runners use it too."""
    kind = type(error)
    try:
        message = str(error)
    except BaseException as second:
        message = f"(str() of this {kind.__qualname__} raised {type(second).__qualname__})"
    if isinstance(error, MemoryError) and (bound := memory.bound_here()):
        message = f"{message}; ".lstrip("; ") + f"a process of this run may have {bound:,} bytes (max_memory)"
    try:
        trace = "".join(traceback.format_exception(error))
    except BaseException as second:
        trace = f"(formatting the traceback raised {type(second).__qualname__})"
    return Failure(Kind.EXCEPTION, f"{kind.__module__}.{kind.__qualname__}", message, trace)


def read_frame(channel: int, idle: Callable[[], None] = nothing) -> bytes | None:
    """The one message on a descriptor; None at its end. `idle` is called once if at first there is nothing to read for
    as long as the descriptor waits: for ever, unless it was told otherwise."""
    try:
        data = os.read(channel, READ_BYTES)
    except BlockingIOError:
        idle()
        data = _read_when_there(channel)
    if (body := sole_message(data)) is not None:  # as usual, and with no buffer a child writes into fewer pages
        return body
    frames = FrameBuffer()
    while data:
        for body in frames.feed(data):
            return body
        data = _read_when_there(channel)
    return None


def _read_when_there(channel: int) -> bytes:
    """However long the descriptor would wait."""
    poller = select.poll()
    poller.register(channel, select.POLLIN)
    poller.poll()
    return os.read(channel, READ_BYTES)


def write_all(channel: int, body: bytes) -> None:
    """Write one frame to a blocking descriptor."""
    write_bytes(channel, frame(body))


def write_bytes(descriptor: int, data: bytes) -> None:
    """Write all of it to a blocking descriptor."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _flush() -> None:
    """Hand everything printed to the pipe. A task may have closed or replaced the streams: its affair."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # noqa: S112
            continue
    kernel.flush_c_streams()
