"""For programs of one's own, without Django, that a worker starts by the executor `command`.

from reproq.child.program import answer

answer(lambda *prices: sum(prices))
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Never

from reproq.child.cold import payload_from, payload_parser, run_and_end
from reproq.child.reply import MAX_RETURN_BYTES, encode_return
from reproq.child.run import write_bytes
from reproq.lifecycle import Failure, Kind, Success
from reproq.wire import Reply

Function = Callable[..., object]
_ERROR_KEYS: Final = ("kind", "exception_class", "message", "traceback")


def answer(function: Function | Mapping[str, Function], arguments: list[str] | None = None) -> Never:
    """Call `function` with the payload's args and kwargs, print what it returns as the last line of stdout, and end.

    A mapping has a function for each task path. The payload comes from stdin or `--payload`. An exception becomes one
    JSON object on stderr, and exit code 1. The spec hash is checked and `random` seeded, as in every child of ours;
    what the function prints is the run's log.
    """
    prog = os.path.basename(sys.argv[0])
    body = payload_from(payload_parser(prog).parse_args(arguments).payload, prog)

    def runner(message: dict[str, Any]) -> Success | Failure:
        path = message["task_path"]
        chosen = function.get(path) if isinstance(function, Mapping) else function
        if chosen is None:
            text = f"{prog} has no function for the task {path!r}; add it there, or map the task to another command"
            return Failure(Kind.UNKNOWN_TASK, "reproq.errors.UnknownTask", text)
        return encode_return(chosen(*message["args"], **message["kwargs"]))

    run_and_end(body, runner, MAX_RETURN_BYTES, _write)


def _write(reply: Reply) -> None:
    """The value on stdout or the error on stderr, on a line of its own: what the executor `command` reads."""
    body = json.loads(reply.encode())
    if body["ok"]:
        write_bytes(1, f"\n{json.dumps(body['return'])}\n".encode())
    else:
        error = {name: body[name] for name in _ERROR_KEYS}
        write_bytes(2, f"\n{json.dumps(error)}\n".encode())
