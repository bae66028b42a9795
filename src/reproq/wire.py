"""Payload and reply: what travels between a worker and a child (contract 4). Both ends import this module.

A message on a private descriptor is a frame: four bytes of length, big-endian, then that many bytes of JSON.
"""

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from reproq.errors import ProtocolError
from reproq.lifecycle import Failure, Kind, Success

VERSION: Final = 1
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
MAX_SECONDS: Final = 1e12
"""Bound of every time in a reply: what PostgreSQL can take off a timestamp, and no NaN."""
_USUAL_SUCCESS: Final = re.compile(
    rb'\{"ok":true,"started_s": ([0-9]{1,11}\.[0-9]{1,20}), "elapsed_s": ([0-9]{1,11}\.[0-9]{1,20}),"return":'
)
_LENGTH: Final = struct.Struct(">I")
_ARGS: Final = ',"args":'
_KWARGS: Final = ',"kwargs":'
_ERRORS: Final = ',"errors":'
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_scanner: Final = json.JSONDecoder()
_encoded: Final = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would build one a call

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
        head = {
            "v": VERSION,
            "run_id": self.run_id,
            "result_id": self.result_id,
            "backend": self.backend,
            "attempt": self.attempt,
            "max_attempts": self.max_attempts,
            "task_path": self.task_path,
            "spec_hash": self.spec_hash,
            "queue_name": self.queue_name,
            "priority": self.priority,
            "run_after": self.run_after,
            "enqueued_at": self.enqueued_at,
            "started_at": self.started_at,
            "last_attempted_at": self.last_attempted_at,
            "worker_ids": self.worker_ids,
            "timeout_seconds": self.timeout_seconds,
            "seed": self.seed,
        }
        opening = _encoded(head)[:-1]
        text = f"{opening}{_ARGS}{self.args_json}{_KWARGS}{self.kwargs_json}{_ERRORS}{self.errors_json}}}"
        return text.encode("utf-8")


@dataclass(frozen=True, slots=True)
class Reply:
    """A child's answer. `started_s` is CLOCK_MONOTONIC, which all processes of one host share; `elapsed_s` a length."""

    outcome: Success | Failure
    started_s: float | None = None
    elapsed_s: float | None = None

    def encode(self) -> bytes:
        times = {"started_s": self.started_s, "elapsed_s": self.elapsed_s}
        match self.outcome:
            case Success(return_json):
                began, lasted = (_encoded(seconds) for seconds in times.values())
                return f'{{"ok":true,"started_s": {began}, "elapsed_s": {lasted},"return":{return_json}}}'.encode()
            case Failure(kind, exception_class, message, traceback):
                body: dict[str, Any] = {"ok": False, "kind": str(kind), "exception_class": exception_class}
                body |= {"message": message, "traceback": traceback} | times
                return _encoded(body).encode()


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
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return Reply(Success(text.decode("ascii")), float(found[1]), float(found[2]))


def split_payload(body: bytes) -> tuple[dict[str, Any], str, str]:
    """The other end of `Payload.encode`: the message, without its arguments, and the stored texts of args and kwargs.

    The texts are needed as they were stored, since the hash tells `1` from `1.0`. The head holds no name `args` (a
    quote inside a string is escaped), so the first one is where they begin, and the decoder says where each ends.
    """
    try:
        text = body.decode("utf-8")
        start = text.index(_ARGS) + len(_ARGS)
        args_end = _scan(text, start)
        kwargs_start = args_end + len(_KWARGS)
        kwargs_end = _scan(text, kwargs_start)
        if not (text.startswith(_KWARGS, args_end) and text.startswith(_ERRORS, kwargs_end)):
            raise ValueError("args, kwargs and errors are not its last members")
        message = json.loads(text[: start - len(_ARGS)] + text[kwargs_end:])
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the payload cannot be read: {error}") from None
    if not isinstance(message, dict) or message.get("v") != VERSION:
        raise ProtocolError(f"the payload is not of version {VERSION}: {text[:40]}")
    return message, text[start:args_end], text[kwargs_start:kwargs_end]


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


def frame(body: bytes) -> bytes:
    """`body` with its length in front."""
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"a message of {len(body)} bytes is over the bound of {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


@dataclass(slots=True)
class LineBuffer:
    """The reply of a cold child: one line that holds one object. Refuses what begins otherwise, or does not end."""

    max_bytes: int = MAX_FRAME_BYTES
    _data: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The line without its end, once that is here; nothing is read after it."""
        self._data += data
        if not self._data.startswith(b"{"):
            raise ProtocolError(f"a reply begins with {{, this with {bytes(self._data[:40])!r}")
        line, end, _ = self._data.partition(b"\n")
        if len(line) > self.max_bytes:
            raise ProtocolError(f"a reply of {len(line)} bytes and more is over the bound of {self.max_bytes}")
        if end:
            yield bytes(line)


@dataclass(slots=True)
class FrameBuffer:
    """Collects bytes as they come and yields whole messages; refuses a length over the bound before storing it."""

    max_bytes: int = MAX_FRAME_BYTES
    _data: bytearray = field(default_factory=bytearray)

    @property
    def is_within(self) -> bool:
        """Whether the beginning of a message has come, and not its end."""
        return bool(self._data)

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._data += data
        while len(self._data) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._data)
            if length > self.max_bytes:
                raise ProtocolError(f"a message announces {length} bytes, over the bound of {self.max_bytes}")
            end = _LENGTH.size + length
            if len(self._data) < end:
                return
            message = bytes(self._data[_LENGTH.size : end])
            del self._data[:end]  # before the yield: a reader that stops here must not see it again
            yield message
