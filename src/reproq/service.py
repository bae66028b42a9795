"""Runs a worker as a service: signals, the loop, and an orderly end. The only room that handles signals."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from selectors import EVENT_READ, BaseSelector
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, Never

if TYPE_CHECKING:
    from reproq.worker.loop import Worker  # every command comes through here early, and most need no worker

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
KILLED_BY: Final = 128
"""What is added to a signal's number to make the exit code of whom it ended."""


def settle_inherited_signals() -> None:
    """Before anything else: mend what this process has from whoever started it.

    PID 1 has no default signals: the kernel drops a TERM that nobody handles, and a container that is stopped while a
    command starts would wait for the KILL. And where SIGCHLD came ignored, no wait would ever learn an exit code.
    """
    if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> Never:
    raise SystemExit(KILLED_BY + number)


def serve(worker: "Worker", each_step: Callable[[], None] = lambda: None) -> int:
    """Step the worker until it has finished. The first TERM or INT drains it, the second stops it at once.

    Returns the exit code: 0, or 1 when ends of runs could not be stored. `each_step` is called after every step.
    """
    acted_on = 0
    try:
        with noted(*STOP_SIGNALS) as stops, noted(signal.SIGCHLD) as ended, _wakeup(worker.selector):
            worker.reap_adopted()
            while not worker.finished:
                worker.step()
                if len(stops) > acted_on:
                    acted_on = len(stops)
                    worker.drain(None if acted_on == 1 else 0.0)
                if ended:
                    ended.clear()
                    worker.reap_adopted()
                each_step()
    finally:
        worker.close()
    return 1 if worker.left_behind else 0


@contextmanager
def noted(*numbers: signal.Signals, bears: int | None = None) -> Iterator[list[int]]:
    """The signals among `numbers` that were received so far. A handler only notes its signal, so that none ever finds
    half-changed state; whoever loops looks at the list between two steps. After `bears` of them, they act as before."""
    received: list[int] = []
    before: dict[signal.Signals, Any] = {}

    def on_signal(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == bears:
            restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before |= {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield received
    finally:
        restore()


@contextmanager
def _wakeup(selector: BaseSelector) -> Iterator[None]:
    """Every signal that has a handler ends the selector's wait, through a socket."""
    read, write = socket.socketpair()
    read.setblocking(False)
    write.setblocking(False)

    def drain() -> None:
        while True:
            try:
                if not read.recv(64):
                    return
            except BlockingIOError:
                return

    before = signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
    selector.register(read, EVENT_READ, drain)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        selector.unregister(read)
        read.close()
        write.close()
