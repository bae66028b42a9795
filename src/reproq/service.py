"""Runs a worker as a service: signals, the loop, and an orderly end. The only room that handles signals."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from selectors import EVENT_READ, BaseSelector
from types import FrameType
from typing import Any, Final, Never, Protocol

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
KILLED_BY: Final = 128
"""What is added to a signal's number to make the exit code of whom it ended."""


class Served(Protocol):
    """A loop that can be run as a service: a worker, a beat."""

    selector: BaseSelector

    @property
    def finished(self) -> bool: ...
    @property
    def left_behind(self) -> int: ...
    def step(self) -> None: ...
    def drain(self, timeout_seconds: float | None = None) -> None: ...
    def reap_adopted(self) -> None: ...
    def close(self) -> None: ...


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


def serve(worker: Served, each_step: Callable[[], None] = lambda: None, *, is_all: bool = False) -> int:
    """Step the worker until it has finished. The first TERM or INT drains it, the second stops it at once.

    A signal that comes while the last ends are stored changes nothing. With `is_all` the process has nothing else to
    do, and ignores those that come while it exits, too: its exit code tells how the worker ended, not who hurried it.

    Returns the exit code: 0, or 1 when ends of runs could not be stored. `each_step` is called after every step.
    """
    afterwards = signal.SIG_IGN if is_all else None
    with noted(*STOP_SIGNALS, afterwards=afterwards) as stops, noted(signal.SIGCHLD) as ended:
        try:
            with _wakeup(worker.selector):
                _run(worker, stops, ended, each_step)
        finally:
            worker.close()
    return 1 if worker.left_behind else 0


def _run(worker: Served, stops: list[int], ended: list[int], each_step: Callable[[], None]) -> None:
    acted_on = 0
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


@contextmanager
def noted(
    *numbers: signal.Signals, bears: int | None = None, afterwards: signal.Handlers | None = None
) -> Iterator[list[int]]:
    """The signals among `numbers` that were received so far. A handler only notes its signal, so that none ever finds
    half-changed state; whoever loops looks at the list between two steps. After `bears` of them, and after the block,
    they act as before, unless `afterwards` says otherwise. What a shell ignores for us in the background (INT) ends us
    after `bears` of them all the same: who sends it twice means it."""
    received: list[int] = []
    before: dict[signal.Signals, Any] = {}

    def on_signal(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == bears:
            restore()
            for each, handler in before.items():
                if handler == signal.SIG_IGN:
                    signal.signal(each, signal.SIG_DFL)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler if afterwards is None else afterwards)

    before |= {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield received
    finally:
        restore()


@contextmanager
def ending_in_order() -> Iterator[None]:
    """In the block, TERM and INT end this process at once with exit code 0: it only waits, and has begun nothing."""
    before = {number: signal.signal(number, _leave) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is _leave:
                signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> Never:
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # its exit code tells how it ended, not who hurried it
    raise SystemExit(0)


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
