"""Every run by a program of any language, chosen by queue or task path: payload in, a JSON line out (contract 4).

The spec hash is checked here, since no program can be trusted to do it; how a program's end is read is in answers.py.
"""

import errno
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from selectors import BaseSelector
from typing import Final

from reproq.child.payload import checked
from reproq.executors.answers import CHILD_DIED_CLASS, ERROR_BYTES, SLACK_BYTES, StreamEnd, failure_of, success_of
from reproq.executors.attempt import Attempt
from reproq.executors.children import bad_spec
from reproq.executors.environment import command_environment
from reproq.executors.launched import LaunchedExecutor, Limits
from reproq.executors.output import Capture, OutputPipe
from reproq.executors.program import Program, Streams
from reproq.lifecycle import Failure, Kind
from reproq.wire import Payload, Reply

PLACEHOLDER: Final = "{payload}"
MAX_ARGUMENT_BYTES: Final = 128 * 1024
"""What Linux takes as one argument, its final NUL included."""
QUEUE: Final = "queue:"
Commands = Sequence[tuple[str, tuple[str, ...]]]
"""Pairs of pattern and argv; the first pattern that fits is taken."""


class CommandExecutor(LaunchedExecutor):
    """Runs payloads by the programs that `commands` maps them to. See the protocol `Executor`.

    Of `environment`, programs get what `command_environment` names, which the `passed` add to, and REPROQ_RUN_ID.
    """

    def __init__(
        self,
        commands: Commands,
        *,
        environment: Mapping[str, str],
        passed: Collection[str] = (),
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        super().__init__(environment, limits)
        self._commands = tuple(commands)
        self._environment = command_environment(environment, passed)

    def program_for(self, payload: Payload) -> Program | Failure:
        argv = argv_for(self._commands, payload.task_path, payload.queue_name)
        if argv is None:
            text = (
                f"no command is mapped to the task {payload.task_path!r} or its queue {payload.queue_name!r}; add "
                f'a pattern for it to commands, as in "{payload.task_path}" = ["/the/program"], or enqueue elsewhere'
            )
            return Failure(Kind.UNKNOWN_TASK, "reproq.errors.UnknownTask", text)
        parsed = checked(payload.task_path, payload.args_json, payload.kwargs_json, payload.spec_hash)
        if isinstance(parsed, Failure):
            return parsed
        body = payload.encode()
        environment = {**self._environment, "REPROQ_RUN_ID": str(payload.run_id)}
        if not any(PLACEHOLDER in part for part in argv):
            return Program(argv, environment, body)
        filled = tuple(part.replace(PLACEHOLDER, body.decode()) for part in argv)
        longest = max(len(part.encode()) for part in filled)
        if longest >= MAX_ARGUMENT_BYTES:
            return bad_spec(_too_long(f"an argument of {longest:,} bytes"))
        return Program(filled, environment, None)

    def streams_for(self, attempt: Attempt) -> Streams:
        log = Capture(self.limits.output_bytes)
        answers = ProgramAnswers(self._selector, log, self.limits.max_return_bytes)
        try:
            errors = OutputPipe(self._selector, 0, capture=log, tap=answers.stderr.add)
        except OSError:
            answers.close()
            raise
        return Streams(answers, errors, answers.pipe.detach_writer(), errors.detach_writer())

    def failure_to_start(self, program: Program, error: OSError) -> Failure | None:
        reason = _START_FAILURES.get(error.errno or 0)
        if error.errno == errno.EPERM and self.limits.max_memory_bytes:
            reason = _NOT_TO_BE_BOUNDED
        if error.errno == errno.E2BIG:
            return bad_spec(_too_long("the argv with its environment"))
        if reason is None:
            return None  # memory or descriptors are out: the run is given back
        return Failure(Kind.CHILD_DIED, CHILD_DIED_CLASS, f"the program {program.argv[0]!r} {reason}")


_START_FAILURES: Final = {
    errno.ENOENT: "does not exist, or the interpreter that its first line names does not; install it on every machine "
    "that serves this queue, or correct commands",
    errno.EACCES: "is not executable by this user; chmod +x it, or correct commands",
    errno.ENOEXEC: "is in no format that this system executes; begin a script with a line such as #!/bin/sh",
    errno.ENOTDIR: "does not exist: a part of its path is no folder; correct commands",
}


_NOT_TO_BE_BOUNDED: Final = (
    "runs with the rights of another user, so that max_memory cannot bound it; let a script start it, which hands its "
    "bound on"
)


def _too_long(what: str) -> str:
    return (
        f"the payload does not fit into the command line: {what} is over the system's bound of {MAX_ARGUMENT_BYTES:,} "
        f"for one; take {PLACEHOLDER} out of the command and read the payload from stdin"
    )


def argv_for(commands: Commands, task_path: str, queue_name: str) -> tuple[str, ...] | None:
    """The argv template of a run: of the first pattern that fits its task path or, after `queue:`, its queue."""
    for pattern, argv in commands:
        by_queue = pattern.startswith(QUEUE)
        if fnmatchcase(queue_name if by_queue else task_path, pattern.removeprefix(QUEUE) if by_queue else pattern):
            return argv
    return None


def missing_programs(commands: Commands, find: Callable[[str], str | None]) -> list[str]:
    """A sentence for each program that cannot be run; `find` is `shutil.which`."""
    return [
        f"commands has for {pattern} the program {argv[0]!r}, which "
        + ("is not executable by this user; chmod +x it" if os.path.exists(argv[0]) else "does not exist; install it")
        + ", or correct the command"
        for pattern, argv in commands
        if find(argv[0]) is None
    ]


class ProgramAnswers:
    """The Exchange with a foreign program: silent before its end, which with its streams is the reply."""

    def __init__(self, selector: BaseSelector, log: Capture, max_return_bytes: int) -> None:
        self.reply: Reply | None = None
        self.fault = ""
        self.in_reply = False
        self.stdout = StreamEnd(max_return_bytes + SLACK_BYTES)
        self.stderr = StreamEnd(ERROR_BYTES)
        self.pipe = OutputPipe(selector, 0, capture=log, tap=self.stdout.add)
        self._log = log
        self._max_return_bytes = max_return_bytes
        self._started_s: float | None = None

    def start(self) -> None:
        """It runs already."""
        self._started_s = time.monotonic()

    def receive(self) -> None:
        """Read what has come of stdout."""
        self.pipe.drain()

    def conclude(self, status: int | None) -> None:
        """Make the reply of how it ended."""
        if status is None:
            return
        if status == 0:
            outcome = success_of(self.stdout, self._max_return_bytes)
        else:
            outcome = failure_of(status, self.stderr, self._log.output())
        elapsed = None if self._started_s is None else time.monotonic() - self._started_s
        self.reply = Reply(outcome, self._started_s, elapsed)

    def close(self) -> None:
        """Hang up."""
        self.pipe.close()
