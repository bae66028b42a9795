"""Payloads that no worker has written: a person's `--payload`, with what it leaves out filled in.

A worker's own payload is passed on byte for byte, since its texts are what the spec hash was made of.
"""

import json
from typing import Any, Final

from reproq.errors import BadSpec, ProtocolError
from reproq.spec import hash_document, seed
from reproq.wire import Payload, split_payload

_LEFT_OUT: Final[dict[str, Any]] = {
    "run_id": 0,
    "result_id": "0-0000000000000000",
    "backend": "default",
    "attempt": 1,
    "max_attempts": 1,
    "queue_name": "default",
    "priority": 0,
    "run_after": None,
    "enqueued_at": "2000-01-01T00:00:00+00:00",
    "started_at": None,
    "last_attempted_at": None,
    "worker_ids": (),
    "timeout_seconds": None,
}
_SAMPLE: Final = 'such as {"v":1,"task_path":"shop.tasks.greet","args":["Ada"],"kwargs":{}}'


def whole_payload(body: bytes) -> bytes:
    """The payload in `body`, complete. Raises ProtocolError, saying what to give, where there is none."""
    try:
        message = json.loads(body)
    except RecursionError:
        return body  # arguments nested too deep: the run's own fault, which its reply names
    except ValueError as error:
        shown = body[:80].decode("utf-8", "backslashreplace")
        raise ProtocolError(f"it is no JSON ({error}): {shown!r}; give one object {_SAMPLE}") from None
    if not isinstance(message, dict):
        raise ProtocolError(f"it is a JSON {type(message).__name__}, not an object; give one {_SAMPLE}")
    if not isinstance(message.get("task_path"), str):
        raise ProtocolError(f"it names no task_path; give one object {_SAMPLE}")
    if message.get("v", 1) != 1:
        raise ProtocolError(f"it is of version {message['v']!r}; this program reads version 1")
    return body if _is_a_workers(body) else _completed(message).encode()


def _is_a_workers(body: bytes) -> bool:
    try:
        message = split_payload(body)[0]
    except ProtocolError:
        return False
    return {*_LEFT_OUT, "spec_hash", "seed"} <= message.keys()


def _completed(message: dict[str, Any]) -> Payload:
    given = {name: message.get(name, value) for name, value in _LEFT_OUT.items()}
    args_json, kwargs_json = json.dumps(message.get("args", [])), json.dumps(message.get("kwargs", {}))
    spec_hash = message.get("spec_hash") or _hash(message["task_path"], args_json, kwargs_json)
    return Payload(
        **given,
        task_path=message["task_path"],
        args_json=args_json,
        kwargs_json=kwargs_json,
        spec_hash=spec_hash,
        errors_json=json.dumps(message.get("errors", [])),
        seed=message.get("seed", seed(spec_hash)),
    )


def _hash(task_path: str, args_json: str, kwargs_json: str) -> str:
    try:
        return hash_document(task_path, args_json, kwargs_json)
    except BadSpec:
        return "0" * 64  # the child refuses it again, in its reply
