"""What a run computes, and its hash: contract 1. The only place in Python where anything is hashed.

It turns arguments into the texts to store, and stored texts back into arguments, checked. It knows nothing of queues,
databases or time; what the canonical form looks like, and what it refuses, is in canonical.py.
"""

import hashlib
import json
import math
from typing import Any, Final, NamedTuple

from reproq.canonical import (
    MAX_DEPTH,
    MAX_DIGITS,
    SAFE_DIGITS,
    DoubledObject,
    admit,
    admit_flat,
    json_text,
    too_large,
    type_name,
)
from reproq.errors import BadSpec, InvalidArguments

MAX_PAYLOAD_BYTES: Final = 1 << 20


class Spec(NamedTuple):
    """What one run computes: the JSON texts exactly as they are stored, and the hash of their canonical form.

    `flat` says that the arguments are texts, integers, booleans and None alone: their texts read as what was given.
    """

    task_path: str
    args_json: str
    kwargs_json: str
    spec_hash: str
    flat: bool = False


def make_spec(
    task_path: str, args: list[Any], kwargs: dict[str, Any], *, max_payload_bytes: int = MAX_PAYLOAD_BYTES
) -> Spec:
    """The spec of a call. Subclasses of the JSON types (an IntEnum, say) are stored by value, as Django does.

    Raises InvalidArguments, with the path of the first fault, for what cannot be hashed or stored.
    """
    if type(args) is list and (spec := flat_spec(task_path, args, kwargs, max_payload_bytes)):
        return spec
    form, plain = admit(_document(task_path, args, kwargs), max_payload_bytes)
    args_json, kwargs_json = json_text(plain["args"]), json_text(plain["kwargs"])
    size = _byte_length(args_json) + _byte_length(kwargs_json)
    if size > max_payload_bytes:
        raise too_large(f"{size:,} bytes", max_payload_bytes)
    return Spec(plain["task_path"], args_json, kwargs_json, _digest(form))


def flat_spec(task_path: Any, args: Any, kwargs: Any, max_payload_bytes: int) -> Spec | None:
    """The spec of a call with plain values alone, positional ones in a tuple or list; None where `make_spec` must look.

    Most calls are such, and this takes a third of the time.
    """
    written = admit_flat(task_path, args, kwargs)
    if written is None or len(written[0]) > max_payload_bytes // 4:  # a character has at most 4 bytes
        return None
    form, args_json, kwargs_json = written
    return Spec(task_path, args_json, kwargs_json, _digest(form), True)


def hash_document(task_path: str, args_json: str, kwargs_json: str) -> str:
    """The spec_hash of stored texts. Raises BadSpec for a document outside the domain of the hash."""
    return parse_and_hash(task_path, args_json, kwargs_json)[2]


def parse_and_hash(task_path: str, args_json: str, kwargs_json: str) -> tuple[list[Any], dict[str, Any], str]:
    """The arguments in stored texts, and their spec_hash, parsed once. Raises BadSpec as hash_document does.

    A value hidden by a later equal key must be within the domain too: PostgreSQL reads it before it can be dropped.
    """
    args = _parse(args_json, "args")
    kwargs = _parse(kwargs_json, "kwargs") if kwargs_json != "{}" else {}
    if written := admit_flat(task_path, args, kwargs):
        return args, kwargs, _digest(written[0])
    try:
        form, plain = admit(_document(task_path, args, kwargs), None)
    except InvalidArguments as refusal:
        raise BadSpec(str(refusal)) from None
    return plain["args"], plain["kwargs"], _digest(form)


def seed(spec_hash: str) -> int:
    """The seed of a run's random numbers: the first 8 bytes of its spec_hash as an unsigned integer."""
    return int(spec_hash[:16], 16)


def _digest(form: str) -> str:
    return hashlib.sha256(form.encode()).hexdigest()


def _document(task_path: object, args: object, kwargs: object) -> dict[str, Any]:
    """The document that is hashed. Its three parts are checked here, what is inside them by admit."""
    for name, value, wanted in (("task_path", task_path, str), ("args", args, list), ("kwargs", kwargs, dict)):
        if not isinstance(value, wanted):
            raise InvalidArguments(f"{name} must be a {wanted.__name__}, got {type_name(value)}", name)
    return {"v": 1, "task_path": task_path, "args": args, "kwargs": kwargs}


def _byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _parse_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    doubled = DoubledObject(members)
    last = {key: index for index, (key, _) in enumerate(pairs)}
    doubled.hidden = [pair for index, pair in enumerate(pairs) if last[pair[0]] != index]
    return doubled


def _parse_integer(text: str) -> int:
    if len(text) <= SAFE_DIGITS:
        return int(text)
    digits = text.removeprefix("-")
    if len(digits) > MAX_DIGITS:
        raise BadSpec(f"an integer of {len(digits):,} digits is more than {MAX_DIGITS:,}; pass it as a string")
    value = 0
    for start in range(0, len(digits), SAFE_DIGITS):
        part = digits[start : start + SAFE_DIGITS]
        value = value * 10 ** len(part) + int(part)
    return -value if text[0] == "-" else value


def _parse_real(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise BadSpec(f"the number {text:.40} is too large for a double; pass it as a string")
    if value == 0 and text.lower().partition("e")[0].strip("-0."):
        raise BadSpec(f"the number {text:.40} is too small for a double; pass it as a string")
    return value


def _parse_constant(name: str) -> float:
    raise BadSpec(f"{name} is not JSON; pass a finite number or null")


# A text this short holds no integer that int() could refuse, so the C scanner may read its integers by itself.
_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_parse_object, parse_float=_parse_real, parse_constant=_parse_constant
)
_long_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_parse_object,
    parse_float=_parse_real,
    parse_constant=_parse_constant,
    parse_int=_parse_integer,
)


def _parse(text: str, name: str) -> Any:
    """The value of a stored text, its floats and integers within the domain. Raises BadSpec."""
    try:
        decoder = _long_decoder if len(text) > SAFE_DIGITS else _decoder
        if text.startswith(("[", "{")):
            value, end = decoder.raw_decode(text)
            if end == len(text):
                return value
        return decoder.decode(text)  # white space around it, or more than one value
    except BadSpec as refusal:
        raise BadSpec(f"{name}: {refusal}") from None
    except json.JSONDecodeError as error:
        raise BadSpec(f"{name} is not JSON: {error}") from None
    except RecursionError:
        raise BadSpec(f"{name} is nested deeper than {MAX_DEPTH} levels; flatten it or pass a reference") from None
