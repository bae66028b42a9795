"""The bounds of a reply: of what a task returned (size, depth, no NaN), and of the texts of an error.

A return value outside them is a `bad_return`: the task has succeeded, and is never run again for that.
"""

import json
import re
from dataclasses import replace
from typing import Final

from reproq.lifecycle import Failure, Kind, Success, failure_of_kind
from reproq.wire import Reply

MAX_RETURN_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 500
MAX_MESSAGE_CHARS: Final = 65536
MAX_TRACEBACK_CHARS: Final = 131072
NOTE_CHARS: Final = 64
"""Room for the note that says how much was left out, so that what was shortened is not shortened again."""
_encoded: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode  # json.dumps builds one a call
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


def encode_return(value: object) -> Success | Failure:
    """A runner's last step: the JSON text of what its task returned, or the `bad_return` that says why there is none.

    ASCII only, so U+0000 and lone surrogates travel and are stored as escapes.
    """
    try:
        return Success(_encoded(value))
    except (TypeError, ValueError, RecursionError) as error:
        return bad_return(f"the task succeeded, but its return value is not JSON: {error}")


def bad_return(message: str) -> Failure:
    """The failure of a run whose value cannot be stored."""
    return failure_of_kind(Kind.BAD_RETURN, message)


def bounded(reply: Reply, max_return_bytes: int) -> Reply:
    """The reply within its bounds; in place of a value that cannot be stored, the reply that says so."""
    if isinstance(reply.outcome, Success):
        outcome = storable(reply.outcome, max_return_bytes)
        return reply if outcome is reply.outcome else reply._replace(outcome=outcome)
    return reply._replace(outcome=shortened(reply.outcome))


def storable(outcome: Success, max_return_bytes: int) -> Success | Failure:
    """The outcome if its text is one that can be stored, whoever made that text."""
    text = outcome.return_json
    if not text.isascii():
        try:
            return storable(Success(json.dumps(json.loads(text), separators=(",", ":"))), max_return_bytes)
        except (ValueError, RecursionError) as error:
            return bad_return(f"the task succeeded, but its return value is not JSON: {error}")
    if len(text) > max_return_bytes:
        return bad_return(
            f"the task succeeded, but its return value is {len(text):,} bytes of JSON, over the bound of "
            f"{max_return_bytes:,}; store it elsewhere and return a reference, or raise max_return_bytes"
        )
    if ("NaN" in text or "Infinity" in text) and (found := _first_constant(text)):
        return bad_return(f"the task succeeded, but its return value holds {found}, which is not JSON; return null")
    if text.count("[") + text.count("{") > MAX_DEPTH and (depth := _depth(text)) > MAX_DEPTH:
        return bad_return(
            f"the task succeeded, but its return value is nested {depth} deep, over the bound of {MAX_DEPTH}"
        )
    return outcome


def shortened(failure: Failure) -> Failure:
    """Both texts within their bounds: the start of the message, the two ends of the traceback."""
    message, trace = failure.message, failure.traceback
    if len(message) > MAX_MESSAGE_CHARS:
        message = f"{message[: MAX_MESSAGE_CHARS - NOTE_CHARS]}… ({len(message):,} characters)"
    if len(trace) > MAX_TRACEBACK_CHARS:
        half = MAX_TRACEBACK_CHARS // 2 - NOTE_CHARS
        trace = f"{trace[:half]}\n… {len(trace) - 2 * half:,} characters left out …\n{trace[-half:]}"
    return replace(failure, message=message, traceback=trace)


def _first_constant(text: str) -> str:
    """NaN or an infinity that stands outside of strings, "" if there is none."""
    found = re.search(r"-?(?:NaN|Infinity)", _STRING.sub("", text))
    return found[0] if found else ""


def _depth(text: str) -> int:
    """How deep objects and arrays are nested; only asked when there are enough brackets to matter."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[{}\]]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
