"""Every run in a cold interpreter: `python -m MODULE`, payload on stdin, the reply envelope as one line of stdout.

MODULE is named by the front desk (`reproq_django.executor`) and calls `reproq.child.cold.main`. What a task prints
comes by stderr: that end keeps the reply's descriptor to itself.
"""

import os
import sys
from collections.abc import Mapping

from reproq.executors.attempt import Attempt
from reproq.executors.channel import Channel
from reproq.executors.launched import LaunchedExecutor, Limits
from reproq.executors.output import OutputPipe
from reproq.executors.program import Program, Streams
from reproq.frames import LineBuffer
from reproq.lifecycle import Failure
from reproq.wire import Payload


class SpawnExecutor(LaunchedExecutor):
    """Runs payloads by `python -m module`. See the protocol `Executor`.

    `environment` is used as it is (see `template_environment`); `path` names folders to import the project from.
    """

    def __init__(
        self,
        module: str,
        *,
        environment: Mapping[str, str],
        path: tuple[str, ...] = (),
        python: str = sys.executable,
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        super().__init__(environment, limits)
        self._environment = dict(environment)
        command = [python, "-m", module, "--worker", str(os.getpid())]
        command += ["--max-return-bytes", str(limits.max_return_bytes)]
        self._argv = (*command, *(argument for folder in path for argument in ("--path", folder)))

    def program_for(self, payload: Payload) -> Program | Failure:
        return Program(self._argv, self._environment, payload.encode())

    def streams_for(self, attempt: Attempt) -> Streams:
        channel = Channel(self._selector, b"", self.limits.max_return_bytes, attempt.answered, LineBuffer)
        try:
            output = OutputPipe(self._selector, self.limits.output_bytes)
        except OSError:
            channel.close()
            raise
        return Streams(channel, output, channel.theirs.detach(), output.detach_writer())

    def failure_to_start(self, program: Program, error: OSError) -> Failure | None:
        return None  # the interpreter has been there: what is missing is memory, or a descriptor
