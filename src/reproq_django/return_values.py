"""What a task returned, as Django normalises it and as the JSON text to store: in a child, and in a project's tests.

It refuses to know the bounds of a text (`reproq.child.reply`), and what becomes of a run whose value is refused.
"""

import json
from typing import Any, Final

from reproq.canonical import PLAIN
from reproq.errors import BadReturn, InvalidArguments
from reproq_django.arguments import normalised, refuse, refuse_key

_json: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode  # json.dumps would build one a call
_SCALARS: Final = PLAIN | {float}
_TEXT: Final = frozenset({str})


def encoded(returned: Any) -> tuple[Any, str]:
    """The value as Django normalises it, and as JSON text: ASCII, so that every character can travel and be stored.

    Raises BadReturn, which says what is wrong, and where in it.
    """
    if returned is None:
        return None, "null"
    said = "the task succeeded, but its return value cannot be stored, so the run has failed and is not run again"
    try:
        value = returned if type(returned) in PLAIN else _normalised(returned)
        return value, _json(value)
    except Exception as error:
        raise BadReturn(f"{said}: {_fault(returned, error)}") from error


def _normalised(returned: Any) -> Any:
    """As Django does, in a quarter of the time where all types are JSON's own. A key that is no text is refused: JSON
    would make one of it, and whoever reads the result would look for the other in vain."""
    try:
        return _copied(returned)
    except _OtherType:
        value = normalised(returned, "return_value")
        _check_keys(value, "return_value")
        return value


class _OtherType(Exception):
    """There is something in it that Django must look at."""


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is dict and _TEXT.issuperset(map(type, value)):
        return {key: item if type(item) in _SCALARS else _copied(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [item if type(item) in _SCALARS else _copied(item) for item in value]
    raise _OtherType


def _check_keys(value: Any, path: str) -> None:
    """Raise InvalidArguments for a key that is no text, in what Django has made lists and dicts of."""
    if isinstance(value, dict):
        for key, item in value.items():
            refuse_key(key, path)
            _check_keys(item, f"{path}[{key!r:.40}]")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_keys(item, f"{path}[{index}]")


def _fault(returned: Any, error: Exception) -> str:
    """What is wrong with a return value, and where in it."""
    try:
        refuse(returned, "return_value")
    except InvalidArguments as fault:
        return str(fault)
    except Exception as second:  # a mapping of the project's that cannot be read, say
        return f"{type(second).__name__}: {second}"
    return f"{type(error).__name__}: {error}"
