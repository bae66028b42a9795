"""From the arguments of an enqueue to a Spec, normalised as Django does; every refusal names its path."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from django.utils.json import normalize_json

from reproq.canonical import MAX_DEPTH, MAX_DIGITS, is_flat, type_name
from reproq.errors import InvalidArguments
from reproq.spec import MAX_PAYLOAD_BYTES, Spec, flat_spec, make_spec

INTEGER_BOUND: Final = 10**MAX_DIGITS


class UnsupportedType(InvalidArguments, TypeError):
    """A value of a type that JSON has no word for; a TypeError too, as under Django's own backends."""


def spec_of(task_path: str, args: Any, kwargs: Any, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> Spec:
    """The Spec of a call. Raises InvalidArguments, which names the path of the first fault."""
    if spec := flat_spec(task_path, args, kwargs, max_payload_bytes):
        return spec  # Django's normalisation would only make a list of a tuple
    args, kwargs = normalised(args, "args"), normalised(kwargs, "kwargs")
    spec = make_spec(task_path, args, kwargs, max_payload_bytes=max_payload_bytes)
    return spec._replace(flat=False)  # its texts read as what was normalised, not as what was given (bytes, say)


def normalised(value: Any, name: str) -> Any:
    """The value as Django normalises it. Raises InvalidArguments; `name` is where the path begins."""
    if is_flat(value):
        return list(value)  # as it would come out, without a look at each
    try:
        return normalize_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        refuse(value, name)
        raise InvalidArguments(f"{name} cannot be written as JSON: {error}", name) from error


def refuse(value: Any, path: str, holders: tuple[int, ...] = ()) -> None:
    """Raise InvalidArguments for the first fault below `path`; return where there is none.

    `holders` are the ids of what the value stands in.
    """
    match value:
        case None | str():
            return
        case int() | float():
            _check_number(value, path)
        case bytes():
            _check_text(value, path)
        case Mapping() | Sequence():
            _check_nesting(value, path, holders)
            inner = (*holders, id(value))
            if isinstance(value, Mapping):
                for key, item in value.items():
                    refuse_key(key, path)
                    refuse(key, f"the key {key!r:.40} of {path}", inner)
                    refuse(item, f"{path}.{key}" if str(key).isidentifier() else f"{path}[{key!r:.40}]", inner)
            else:
                for index, item in enumerate(value):
                    refuse(item, f"{path}[{index}]", inner)
        case _:
            _unsupported(value, path)


def refuse_key(key: object, path: str) -> None:
    """Raise InvalidArguments for a key that is no text (bytes become one). `path` is where its dict stands."""
    if not isinstance(key, str | bytes):
        raise InvalidArguments(
            f"{path} has a key of type {type_name(key)} ({key!r:.40}); JSON keys are text, so make it str(key)", path
        )


def _check_number(value: float, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidArguments(f"{path} is {value}, which JSON cannot hold; use a finite number or None", path)
    if isinstance(value, int) and abs(value) >= INTEGER_BOUND:
        raise InvalidArguments(f"{path} is an integer of more than {MAX_DIGITS:,} digits; use a string", path)


def _check_text(value: bytes, path: str) -> None:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        raise InvalidArguments(
            f"Unsupported value: {type(value)} at {path}, not UTF-8 ({error.reason} at byte {error.start}); "
            "encode it, as base64 for example",
            path,
        ) from None


def _check_nesting(value: Any, path: str, holders: tuple[int, ...]) -> None:
    if id(value) in holders:
        raise InvalidArguments(f"{path} contains itself; pass a document without cycles", path)
    if len(holders) > MAX_DEPTH:
        raise InvalidArguments(f"{path} is nested deeper than {MAX_DEPTH} levels; flatten it or pass a reference", path)


def _unsupported(value: Any, path: str) -> NoReturn:
    raise UnsupportedType(
        f"Unsupported type: {type(value)} at {path}, which JSON has no word for; pass text, numbers, booleans, None, "
        "lists and dicts of them, or the primary key of a model",
        path,
    )
