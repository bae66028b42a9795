"""Runs a worker as a service: signals, the loop, and an orderly end. The only room that handles signals."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from selectors import EVENT_READ, BaseSelector
from types import FrameType
from typing import Final

from reproq.worker.loop import Worker

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def serve(worker: Worker, each_step: Callable[[], None] = lambda: None) -> int:
    """Step the worker until it has finished. The first TERM or INT drains it, the second stops it at once.

    Returns the exit code: 0, or 1 when ends of runs could not be stored. `each_step` is called after every step.
    """
    acted_on = 0
    try:
        with _stop_signals(worker.selector) as received:
            while not worker.finished:
                worker.step()
                if len(received) > acted_on:
                    acted_on = len(received)
                    worker.drain(None if acted_on == 1 else 0.0)
                each_step()
    finally:
        worker.close()
    return 1 if worker.left_behind else 0


@contextmanager
def _stop_signals(selector: BaseSelector) -> Iterator[list[int]]:
    """The stop signals received so far. A handler only notes its signal and wakes the selector through a socket; the
    loop acts on it between two steps, so that no signal ever finds half-changed state."""
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, on_signal) for number in STOP_SIGNALS}
    try:
        with _wakeup(selector):
            yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _wakeup(selector: BaseSelector) -> Iterator[None]:
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
