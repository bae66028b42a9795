"""From the bytes of a payload to the message a runner receives, once its spec hash has been checked.

A document that does not match its hash, or that the hash does not cover, never reaches a task.
"""

from typing import Any

from reproq.errors import BadSpec, ProtocolError
from reproq.lifecycle import Failure, Kind, failure_of_kind
from reproq.spec import parse_and_hash
from reproq.wire import split_payload


def read_message(body: bytes) -> tuple[dict[str, Any], Failure | None]:
    """The payload object, its arguments parsed as the spec demands; or why it must not be run."""
    try:
        message, args_json, kwargs_json = split_payload(body)
    except ProtocolError as error:
        return {}, failure_of_kind(Kind.BAD_SPEC, str(error))
    parsed = checked(message["task_path"], args_json, kwargs_json, message["spec_hash"])
    if isinstance(parsed, Failure):
        return {}, parsed
    message["args"], message["kwargs"] = parsed
    return message, None


def checked(
    task_path: str, args_json: str, kwargs_json: str, spec_hash: str
) -> tuple[list[Any], dict[str, Any]] | Failure:
    """The arguments of a spec whose hash is the stored one; or why it must not be run."""
    try:
        args, kwargs, found = parse_and_hash(task_path, args_json, kwargs_json)
    except BadSpec as error:
        return failure_of_kind(Kind.BAD_SPEC, str(error))
    if found != spec_hash:
        text = f"the stored arguments hash to {found}, the row says {spec_hash}; the task was not run"
        return failure_of_kind(Kind.SPEC_TAMPERED, text)
    return args, kwargs
