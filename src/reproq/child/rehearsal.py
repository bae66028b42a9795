"""What a template does once before the first run, so that no child has to: warm code, freeze the heap, name threads.

Python writes into its own code objects while it learns them (inline caches, lazily built tables). Done here, those
pages are shared by every child; done after the fork, each child copies them.
"""

import gc
import os
import random
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, Final

from reproq.child import heap, kernel
from reproq.child.run import answer_with, read_frame, run_one, write_all
from reproq.child.warming import made_up_payload, made_up_run

WARM_ROUNDS: Final = 64
_PYTHON_IGNORES: Final = frozenset({signal.SIGPIPE, signal.SIGXFSZ})


def rehearse(max_return_bytes: int, warm_up: Callable[[], None]) -> None:
    """Run a made-up payload, without any user code: often in this process, then once in a fork of it."""
    body = made_up_payload()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)  # so that it finds nothing at first, as a child that waits
        for _ in range(WARM_ROUNDS):
            _answer_once(body, ours.fileno(), theirs.fileno(), max_return_bytes, warm_up)
            _begin_once()
    if len(os.listdir("/proc/self/task")) == 1:  # what follows is done to all threads, as if a fork had ended them
        for _ in range(WARM_ROUNDS):
            _leave_the_parent_once()
    _fork_once(body, max_return_bytes)
    kernel.children_of(os.getpid())


def _answer_once(body: bytes, ours: int, theirs: int, max_return_bytes: int, warm_up: Callable[[], None]) -> None:
    def idle() -> None:
        warm_up()
        write_all(ours, body)

    came = read_frame(theirs, idle) or b""
    answer_with(came, made_up_run, max_return_bytes, lambda reply: write_all(theirs, reply.encode()))
    read_frame(ours)


def _begin_once() -> None:
    """What a child does first, as far as it changes nothing here: the template is watched and a sub-reaper already."""
    kernel.die_with_parent(os.getppid())
    kernel.become_subreaper()
    os.close(kernel.make_private(os.dup(0), kernel.private_descriptor()))


def _leave_the_parent_once() -> None:
    """What the standard library does in every child of a fork, and nowhere else, so that no child would find it warm.

    The names are private: a Python that has them no more is slower, and works.
    """
    random.seed()
    for module, name in (("threading", "_after_fork"), ("logging", "_after_at_fork_child_reinit_locks")):
        getattr(sys.modules.get(module), name, lambda: None)()


def _fork_once(body: bytes, max_return_bytes: int) -> None:
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        run_one(theirs.fileno(), made_up_run, max_return_bytes)
    theirs.close()
    with ours:
        write_all(ours.fileno(), body)
        read_frame(ours.fileno())
    os.waitpid(pid, 0)


def freeze() -> None:
    """Move all that lives out of the collector's sight: a collection in a child would write into every object. Then
    gather it in huge pages: a fork copies one entry for each, not 512."""
    gc.collect()
    gc.freeze()
    heap.gather_heap()


def thread_warnings() -> list[str]:
    """What to tell the operator if the import left threads behind; also keeps Python from warning at each fork."""
    count = len(os.listdir("/proc/self/task"))
    if count == 1:
        return []
    named = [f"{t.name} ({type(t).__qualname__})" for t in threading.enumerate() if t is not threading.main_thread()]
    if count - 1 > len(named):
        named.append(f"{count - 1 - len(named)} not started by Python")
    warnings.filterwarnings("ignore", message=".*is multi-threaded", category=DeprecationWarning)
    return [
        f"importing the project started {count - 1} thread(s): {', '.join(named)}. They do not exist in the children "
        "that are forked for each run, and a lock that one of them holds at that moment stays locked there for ever. "
        "Start threads in the task or on first use, not at import."
    ]


def signals_to_restore() -> list[tuple[int, Any]]:
    """The signals that a child must set back, each with what a Python program starts with."""
    usual = {signal.SIGINT: signal.default_int_handler}
    kept = {signal.SIGKILL, signal.SIGSTOP} | _PYTHON_IGNORES
    wanted = {number: usual.get(number, int(signal.SIG_DFL)) for number in signal.valid_signals() - kept}
    return [(int(number), want) for number, want in wanted.items() if signal.getsignal(number) != want]


def flush_everything() -> None:
    """Empty all buffers: what is left in one would be printed again by every child."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kernel.flush_c_streams()
