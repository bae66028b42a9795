"""The child of the executor `pool`: runs what comes on its channel, one run after the other, until the channel ends.

Each reply is handed to the kernel before the next run begins. So whatever kills this process, the worker finds every
answer that was given, and knows the run that had none. A run begins by taking a ticket, which the worker may have taken
back before: one counter in the kernel decides between the two.
"""

import contextlib
import os
import sys
import traceback
from contextvars import copy_context
from typing import Final, Never

from reproq.child.run import EXIT_CANNOT_REPLY, READ_BYTES, Runner, answer_with, write_all, write_bytes
from reproq.frames import FrameBuffer
from reproq.wire import Reply

BARRIER: Final = b""
"""A message without a body. From the worker: what came before it without a ticket was taken back. It is echoed."""


def serve(channel: int, output: int, tickets: int, runner: Runner, max_return_bytes: int) -> Never:
    """Run every payload that has a ticket, until the worker hangs up; then end this process.

    `output` is the pipe that fd 1 and 2 are, kept where no task looks for it. The first message is the mark that is
    written to it behind each run, so that the worker can tell whose output it reads.
    """
    code = EXIT_CANNOT_REPLY
    try:
        _Service(channel, output, tickets, runner, max_return_bytes).serve()
        code = 0
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
            sys.stderr.flush()
    finally:
        os._exit(code)


class _Service:
    def __init__(self, channel: int, output: int, tickets: int, runner: Runner, max_return_bytes: int) -> None:
        self._channel = channel
        self._output = output
        self._tickets = tickets
        self._runner = runner
        self._max_return_bytes = max_return_bytes
        self._mark = b""
        self._pid = os.getpid()

    def serve(self) -> None:
        frames = FrameBuffer()
        while data := os.read(self._channel, READ_BYTES):
            for body in frames.feed(data):
                if not self._mark:
                    self._mark = body
                elif body == BARRIER:
                    write_all(self._channel, BARRIER)
                elif self._takes_a_ticket():
                    self._run(body)

    def _takes_a_ticket(self) -> bool:
        try:
            os.eventfd_read(self._tickets)
        except BlockingIOError:  # this run was taken back
            return False
        return True

    def _run(self, body: bytes) -> None:
        """In a context of its own: what a run puts into context variables (its language, its time zone, the precision
        of its decimals) ends with it."""
        copy_context().run(answer_with, body, self._runner, self._max_return_bytes, self._answer)
        if os.getpid() != self._pid:  # a task has forked, and this is its copy
            os._exit(0)

    def _answer(self, reply: Reply) -> None:
        write_bytes(self._output, self._mark)
        write_all(self._channel, reply.encode())
