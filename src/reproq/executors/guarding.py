"""The guard of one executor, from the worker's side: it outlives a killed worker, and kills what that had started.

See `reproq.child.guard`. It is started again when it has died; it ends with the pipe that only this process holds.
"""

import contextlib
import secrets
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from reproq.child.guard import STARTED_BY

CLOSE_SECONDS: Final = 5.0


class Guard:
    """`mark` is what everything that it shall kill has in its environment, under the name STARTED_BY."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.mark = secrets.token_hex(8)
        self.entry = {STARTED_BY: self.mark}
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the guard, None when there is none."""
        return self._process.pid if self._process is not None else None

    def ensure(self) -> None:
        """Start it, or start it again. Raises OSError."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "reproq.child.guard", self.mark],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """Let it kill what is left, and end it; waits for that."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        try:
            process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
