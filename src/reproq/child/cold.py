"""A cold child: one process, one payload, one reply. The other end of the executor `spawn`.

`main` is what `python -m reproq_django.executor` calls; it refuses to know what the project is.
"""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Never

from reproq.child import forgetting, kernel, rehearsal
from reproq.child.by_hand import whole_payload
from reproq.child.reply import MAX_RETURN_BYTES
from reproq.child.run import EXIT_CANNOT_REPLY, Runner, answer_with, failure_of, write_bytes
from reproq.errors import ProtocolError
from reproq.lifecycle import Success
from reproq.wire import Reply

DONE, FAILED, USAGE = 0, 1, 2
"""Exit codes."""


def main(setup: Callable[[], Runner], prog: str, arguments: list[str] | None = None) -> Never:
    """Run the payload that stdin or `--payload` holds, print the reply envelope as one line of stdout, and end.

    What the task prints goes to stderr. Exit code 0 says that it succeeded, 1 that it did not, 2 that there was no
    payload to be understood; then stdout stays empty, and stderr says why.
    """
    parser = payload_parser(prog)
    parser.add_argument("--worker", type=int, metavar="PID", help="end when this process, the parent, ends")
    parser.add_argument("--path", action="append", default=[], metavar="DIR", help="a folder to import from, first")
    parser.add_argument("--max-return-bytes", type=int, default=MAX_RETURN_BYTES, metavar="N")
    options = parser.parse_args(arguments)
    if options.worker:
        kernel.die_with_parent(options.worker)
    sys.path[:0] = [folder for folder in options.path if folder not in sys.path]
    # A worker's payload is never completed or refused as usage: what is wrong with it belongs into a reply.
    body = sys.stdin.buffer.read() if options.worker else payload_from(options.payload, prog)
    reply_to = _become_a_child()
    runner = _prepared(setup)

    def write(reply: Reply) -> None:
        write_bytes(reply_to, reply.encode() + b"\n")

    run_and_end(body, runner, options.max_return_bytes, write)


def payload_parser(prog: str) -> argparse.ArgumentParser:
    """The command line that every program of ours which runs one payload has."""
    parser = argparse.ArgumentParser(prog=prog, description="Run one payload (the executor protocol, version 1).")
    parser.add_argument("--payload", metavar="JSON", help="default: all of stdin; an argv can be read by every user")
    return parser


def payload_from(given: str | None, prog: str) -> bytes:
    """The payload's bytes; where there is no payload, the message that says so and the end of the process."""
    body = sys.stdin.buffer.read() if given is None else given.encode("utf-8", "surrogateescape")
    try:
        return whole_payload(body)
    except ProtocolError as error:
        sys.stderr.write(f"{prog}: {'stdin' if given is None else '--payload'} holds no payload: {error}\n")
        sys.exit(USAGE)


def _become_a_child() -> int:
    """What a fork of the template is by birth; the private descriptor for the reply, kept out of the task's hands."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number, handler in rehearsal.signals_to_restore():
        signal.signal(number, handler)
    reply_to = kernel.make_private(os.dup(1), kernel.private_descriptor())
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    kernel.prefer_as_oom_victim()
    return reply_to


def _prepared(setup: Callable[[], Runner]) -> Runner:
    """The project's runner; for a project that cannot be imported, one that says so of every run."""
    secrets = forgetting.find()
    try:
        runner = setup()
        forgetting.forget(secrets)
        return runner
    except BaseException as error:
        failure = failure_of(error)
        return lambda message: failure


def run_and_end(body: bytes, runner: Runner, max_return_bytes: int, write: Callable[[Reply], None]) -> Never:
    """Run it, answer, and end at once: threads that the task left behind cannot hold the process."""
    code = EXIT_CANNOT_REPLY
    try:
        reply = answer_with(body, runner, max_return_bytes, write)
        code = DONE if isinstance(reply.outcome, Success) else FAILED
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)
