"""Payload and reply: what travels between a worker and a child (contract 4), as JSON. Both ends import this module;
how a message is found in a stream of bytes is in frames.py."""

import json
import re
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NamedTuple

from reproq.errors import ProtocolError
from reproq.lifecycle import Failure, Kind, Success

VERSION: Final = 1
MAX_SECONDS: Final = 1e12
"""Bound of every time in a reply: what PostgreSQL can take off a timestamp, and no NaN."""
_SECONDS: Final = rb"([0-9]{1,11}(?:\.[0-9]{1,20})?(?:e-[0-9]{1,2})?)"  # as Python writes what is under MAX_SECONDS
_USUAL_SUCCESS: Final = re.compile(rb'\{"ok":true,"started_s": %b, "elapsed_s": %b,"return":' % (_SECONDS, _SECONDS))
_ARGS: Final = ',"args":'
_KWARGS: Final = ',"kwargs":'
_ERRORS: Final = ',"errors":'
_RUN: Final = ',"run_id":'
_PLAIN_END: Final = ',"kwargs":{},"errors":[]}'
"""How the payload of a first attempt without keyword arguments ends."""
MAX_HEADS: Final = 256
_NOTHING: Final = Success("null")
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_scanner: Final = json.JSONDecoder()
_encoded: Final = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would build one a call
_quoted: Final = encode_basestring_ascii

REPLY_KINDS: Final = frozenset(
    {Kind.EXCEPTION, Kind.UNKNOWN_TASK, Kind.BAD_RETURN, Kind.SPEC_TAMPERED, Kind.BAD_SPEC, Kind.TIMEOUT}
)
"""What a child may say of itself; every other kind is the worker's to find."""


class Payload(NamedTuple):
    """One attempt at one run, as the child receives it. `args_json` and `kwargs_json` are the stored texts, untouched.

    Times are ISO 8601 with an offset, or None. `errors_json` is the stored list of earlier errors.
    """

    run_id: int
    result_id: str
    backend: str
    attempt: int
    max_attempts: int
    task_path: str
    args_json: str
    kwargs_json: str
    spec_hash: str
    queue_name: str
    priority: int
    run_after: str | None
    enqueued_at: str
    started_at: str | None
    last_attempted_at: str | None
    worker_ids: tuple[str, ...]
    errors_json: str
    timeout_seconds: float | None
    seed: int

    def encode(self) -> bytes:
        """The payload as one JSON object; the stored texts are spliced in as they are."""
        head = _head(
            self.backend, self.max_attempts, self.task_path, self.queue_name, self.priority, self.timeout_seconds
        )
        text = (
            f'{head}{_RUN}{self.run_id},"result_id":{_quoted(self.result_id)},"attempt":{self.attempt},'
            f'"spec_hash":{_quoted(self.spec_hash)},"run_after":{_text(self.run_after)},'
            f'"enqueued_at":{_quoted(self.enqueued_at)},"started_at":{_text(self.started_at)},'
            f'"last_attempted_at":{_text(self.last_attempted_at)},'
            f'"worker_ids":[{",".join(map(_quoted, self.worker_ids))}],"seed":{self.seed}'
            f"{_ARGS}{self.args_json}{_KWARGS}{self.kwargs_json}{_ERRORS}{self.errors_json}}}"
        )
        return text.encode("utf-8")


@lru_cache(MAX_HEADS)
def _head(
    backend: str, max_attempts: int, task_path: str, queue_name: str, priority: int, timeout_seconds: float | None
) -> str:
    """The members that most runs of a worker share, without the closing brace: written once, not for every run."""
    members = {
        "v": VERSION,
        "backend": backend,
        "max_attempts": max_attempts,
        "task_path": task_path,
        "queue_name": queue_name,
        "priority": priority,
        "timeout_seconds": timeout_seconds,
    }
    return _encoded(members)[:-1]


def _text(value: str | None) -> str:
    return "null" if value is None else _quoted(value)


class Reply(NamedTuple):
    """A child's answer. `started_s` is CLOCK_MONOTONIC, which all processes of one host share; `elapsed_s` a length."""

    outcome: Success | Failure
    started_s: float | None = None
    elapsed_s: float | None = None

    def encode(self) -> bytes:
        began, lasted = _seconds(self.started_s), _seconds(self.elapsed_s)
        match self.outcome:
            case Success(return_json):
                return f'{{"ok":true,"started_s": {began}, "elapsed_s": {lasted},"return":{return_json}}}'.encode()
            case Failure(kind, exception_class, message, traceback):
                body: dict[str, Any] = {"ok": False, "kind": str(kind), "exception_class": exception_class}
                body |= {"message": message, "traceback": traceback}
                return f'{_encoded(body)[:-1]},"started_s":{began},"elapsed_s":{lasted}}}'.encode()


def _seconds(value: float | None) -> str:
    return "null" if value is None else repr(value)


def decode_reply(body: bytes) -> Reply:
    """Read a reply; raise ProtocolError, naming what is wrong with it, for anything that is not one."""
    if (found := _USUAL_SUCCESS.match(body)) and (reply := _usual(body, found)):
        return reply
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the reply is not JSON ({error}): {body[:80]!r}") from None
    if not isinstance(message, dict) or not isinstance(message.get("ok"), bool):
        raise ProtocolError(f"the reply is no object with a boolean `ok`: {body[:80]!r}")
    times = (_number(message, "started_s"), _number(message, "elapsed_s"))
    if message["ok"]:
        if "return" not in message:
            raise ProtocolError("the reply says ok but holds no `return`")
        return Reply(Success(_dumped(message["return"])), *times)
    kind = message.get("kind", Kind.EXCEPTION)
    if not isinstance(kind, str) or kind not in REPLY_KINDS:
        known = ", ".join(sorted(REPLY_KINDS))
        raise ProtocolError(f"the reply has the kind {repr(kind)[:80]}, which is not one of {known}")
    texts = {name: str(message.get(name) or "") for name in ("exception_class", "message", "traceback")}
    return Reply(Failure(Kind(kind), **texts), *times)


def _usual(body: bytes, found: re.Match[bytes]) -> Reply | None:
    """The reply of a child of ours whose task succeeded: its return value is compact ASCII already, and only has to be
    looked over. None for one that the long way must judge."""
    text = body[found.end() : -1]
    if not text.isascii() or not body.endswith(b"}"):
        return None
    if text == b"null":  # what most tasks return
        return Reply(_NOTHING, float(found[1]), float(found[2]))
    returned = text.decode("ascii")
    try:
        _scanner.decode(returned)
    except (ValueError, RecursionError):
        return None
    return Reply(Success(returned), float(found[1]), float(found[2]))


def split_payload(body: bytes) -> tuple[dict[str, Any], str, str]:
    """The other end of `Payload.encode`: the message, without its arguments, and the stored texts of args and kwargs.

    The texts are needed as they were stored, since the hash tells `1` from `1.0`. The head holds no name `args` (a
    quote inside a string is escaped), so the first one is where they begin, and the decoder says where each ends.
    Nor can the usual end stand in a string, or anywhere but at the end of the whole object.
    """
    try:
        text = body.decode("utf-8")
        head_end = text.index(_ARGS)
        start = head_end + len(_ARGS)
        args_end, kwargs_json, last = _behind_the_head(text, start)
        message = _message(text, head_end) | last
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the payload cannot be read: {error}") from None
    if message.get("v") != VERSION:
        raise ProtocolError(f"the payload is not of version {VERSION}: {text[:40]}")
    return message, text[start:args_end], kwargs_json


def _behind_the_head(text: str, start: int) -> tuple[int, str, dict[str, Any]]:
    """Where the args that begin at `start` end, the text of kwargs, and the members behind that. Raises ValueError."""
    if text.endswith(_PLAIN_END):  # whoever reads the arguments finds out whether that is one value
        return len(text) - len(_PLAIN_END), "{}", {"errors": []}
    args_end = _scan(text, start)
    kwargs_start = args_end + len(_KWARGS)
    kwargs_end = _scan(text, kwargs_start)
    if not (text.startswith(_KWARGS, args_end) and text.startswith(_ERRORS, kwargs_end)):
        raise ValueError("args, kwargs and errors are not its last members")
    return args_end, text[kwargs_start:kwargs_end], json.loads("{" + text[kwargs_end + 1 :])


def _message(text: str, end: int) -> dict[str, Any]:
    """The members up to `end`. Those before the run's id are the same in many payloads, and read once."""
    cut = text.find(_RUN, 0, end)
    if cut < 0:
        return _members(text[:end])
    return _shared_members(text[:cut]) | _members("{" + text[cut + 1 : end])


@lru_cache(MAX_HEADS)
def _shared_members(opening: str) -> dict[str, Any]:
    return _members(opening)


def _members(opening: str) -> dict[str, Any]:
    """An object that lacks its closing brace. Raises ValueError for what is none."""
    text = opening + "}"
    members: dict[str, Any]
    members, end = _scanner.raw_decode(text, 0 if text[0] == "{" else _skip_space(text, 0))
    if end != len(text):
        raise ValueError(f"an object ends at character {end} of {len(text)}")
    return members


def _scan(text: str, start: int) -> int:
    """Where the JSON value at `start` ends, white space on both sides of it included (SQL producers may send some)."""
    end = int(_scanner.raw_decode(text, _skip_space(text, start))[1])
    return _skip_space(text, end)


def _skip_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return found.end() if found else start


def _dumped(value: Any) -> str:
    try:
        return _encoded(value)
    except RecursionError as error:
        raise ProtocolError(f"the reply's `return` is nested too deep ({error})") from None


def _number(message: dict[str, Any], name: str) -> float | None:
    value = message.get(name)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_SECONDS:
        return value
    raise ProtocolError(f"the reply's `{name}` is {repr(value)[:80]}, not a number of seconds up to {MAX_SECONDS:g}")
