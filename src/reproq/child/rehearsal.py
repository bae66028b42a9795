"""What a template does once before the first run, so that no child has to: warm code, freeze the heap, name threads.

Python writes into its own code objects while it learns them (inline caches, lazily built tables). Done here, those
pages are shared by every child; done after the fork, each child copies them.
"""

import gc
import os
import signal
import socket
import sys
import threading
import warnings
from typing import Any, Final

from reproq.child import kernel
from reproq.child.reply import bounded, encode_return
from reproq.child.run import attempt, read_frame, run_one, write_all
from reproq.lifecycle import Failure, Success
from reproq.spec import hash_document
from reproq.wire import Payload

WARM_ROUNDS: Final = 64
_TASK: Final = "reproq.rehearsal"
_ARGS: Final = '[1,2.5,"text",null,true,{"nested":[]}]'
_PYTHON_IGNORES: Final = frozenset({signal.SIGPIPE, signal.SIGXFSZ})


def rehearse(max_return_bytes: int) -> None:
    """Run a made-up payload, without any user code: often in this process, then once in a fork of it."""
    body = _payload().encode()
    for _ in range(WARM_ROUNDS):
        bounded(attempt(body, _runner), max_return_bytes).encode()
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        run_one(theirs.fileno(), _runner, max_return_bytes)
    theirs.close()
    with ours:
        write_all(ours.fileno(), body)
        read_frame(ours.fileno())
    os.waitpid(pid, 0)
    kernel.children_of(os.getpid())


def freeze() -> None:
    """Move all that lives out of the collector's sight: a collection in a child would write into every object."""
    gc.collect()
    gc.freeze()


def _payload() -> Payload:
    return Payload(
        run_id=0, result_id="0-0", backend="default", attempt=1, max_attempts=1, task_path=_TASK,
        args_json=_ARGS, kwargs_json="{}", spec_hash=hash_document(_TASK, _ARGS, "{}"), queue_name="default",
        priority=0, run_after=None, enqueued_at="2000-01-01T00:00:00+00:00", started_at=None,
        last_attempted_at=None, worker_ids=(), errors_json="[]", timeout_seconds=None, seed=0,
    )  # fmt: skip


def _runner(message: dict[str, Any]) -> Success | Failure:
    return encode_return([message["args"], message["kwargs"]])


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
