"""What a foreign program has said, read from its exit status and the ends of its two streams (contract 4). Pure.

Exit 0: the last line of stdout that is a JSON value is the return value, null if there is none. Any other end is a
failure, told by the last JSON object on stderr that is an error, or by the tail of what was printed.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from reproq.child.reply import bad_return, shortened, storable
from reproq.executors.children import exit_reason, kill_hint, tail_of
from reproq.lifecycle import Failure, Kind, Success
from reproq.output import Output
from reproq.wire import REPLY_KINDS

CHILD_DIED_CLASS: Final = "reproq.errors.ChildDied"
MAX_LINES: Final = 1000
"""How many lines are searched from the end: what lies further up is log."""
SLACK_BYTES: Final = 4096
ERROR_BYTES: Final = 1 << 18
_BEGINS: Final = tuple(b'[{"-0123456789tfn')
_ENDS: Final = tuple(b']}"0123456789el')
_CLOSES: Final = tuple(b']}"')


class StreamEnd:
    """The last bytes of a stream, at least `keep_bytes` of them; `is_cut` says whether there were more."""

    def __init__(self, keep_bytes: int) -> None:
        self._keep_bytes = keep_bytes
        self.data = bytearray()
        self.is_cut = False

    def add(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > 2 * self._keep_bytes:  # seldom, so that a flood does not move bytes all the time
            del self.data[: -self._keep_bytes]
            self.is_cut = True


def success_of(stdout: StreamEnd, max_return_bytes: int) -> Success | Failure:
    """What a program that exited with 0 has returned, or why that cannot be stored."""
    for line, is_whole in _lines_from_the_end(stdout):
        if not is_whole:
            if line[-1] in _CLOSES:
                return bad_return(
                    f"the program succeeded, but the last line of its stdout, its return value, has over {len(line):,} "
                    f"bytes, and the bound is {max_return_bytes:,}; store it elsewhere and print a reference, or raise "
                    "max_return_bytes"
                )
            break
        if line[0] not in _BEGINS or line[-1] not in _ENDS:
            continue
        try:
            text = line.decode()
            json.loads(text)
        except (UnicodeDecodeError, json.JSONDecodeError):
            continue
        except (ValueError, RecursionError) as error:
            return bad_return(f"the program succeeded, but its return value cannot be read: {error}")
        return storable(Success(text), max_return_bytes)
    return Success("null")


def failure_of(status: int, stderr: StreamEnd, stdout: Output) -> Failure:
    """How a program failed: by the error that it wrote on stderr, else by its exit status and what it printed last."""
    for line, is_whole in _lines_from_the_end(stderr):
        if is_whole and line[0] == ord("{") and (error := _error_object(line)):
            return shortened(_told(error, status))
    printed = Output(tail=bytes(stderr.data), bytes_total=len(stderr.data)) if stderr.data.strip() else stdout
    return Failure(Kind.CHILD_DIED, CHILD_DIED_CLASS, f"{exit_reason(status)}{kill_hint(status)}{tail_of(printed)}")


def _lines_from_the_end(end: StreamEnd) -> Iterator[tuple[bytes, bool]]:
    """Its lines that are not blank, the last first, and whether each is whole."""
    lines = bytes(end.data).rsplit(b"\n", MAX_LINES)
    rest = len(lines) - 1 if len(lines) > MAX_LINES else len(lines)
    for index in range(len(lines) - 1, len(lines) - 1 - rest, -1):
        if line := lines[index].strip():
            yield line, index > 0 or not end.is_cut


def _error_object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_error = isinstance(found, dict) and found.keys() & {"message", "exception_class", "type", "traceback"}
    return found if is_error else None


def _told(error: dict[str, Any], status: int) -> Failure:
    kind = error.get("kind")
    told = {name: str(error.get(name) or "") for name in ("exception_class", "type", "message", "traceback")}
    return Failure(
        Kind(kind) if isinstance(kind, str) and kind in REPLY_KINDS else Kind.EXCEPTION,
        told["exception_class"] or told["type"] or CHILD_DIED_CLASS,
        told["message"] or exit_reason(status),
        told["traceback"],
    )
