"""The canonical form of a JSON document (contract 1), and the refusal of everything that has none.

Values in, texts out. Documents without floats go through json's C encoder; the walk in Python runs only for the rest,
and to say where a fault is. It hashes nothing and reads no text.
"""

import json
import math
import re
import struct
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring
from typing import Any, Final

from reproq.errors import InvalidArguments

MAX_DEPTH: Final = 100  # arrays and objects inside one another; args itself is the first, and so is kwargs
MAX_DIGITS: Final = 4_300
SAFE_DIGITS: Final = 600  # below the lowest limit that sys.set_int_max_str_digits() takes (640)

_INTEGER_BOUND: Final = 10**MAX_DIGITS
_SURVEYED_VALUES: Final = 1 << 20  # more than these go to the walk: a list that holds itself twice has 2 ** depth
_EXACT_TYPES: Final = frozenset({dict, list, str, int, float, bool, type(None)})
_FLAT: Final[dict[type, Callable[[Any], str]]] = {
    str: encode_basestring,
    int: int.__repr__,
    bool: ("false", "true").__getitem__,
    type(None): lambda _: "null",
}
"""How values that hold no others are written. An encoder of json's is built for each call, which takes longer."""
PLAIN: Final = frozenset(_FLAT)
"""The types of such values."""
MAX_FLAT: Final = 100  # values
_ARRAYS: Final = frozenset({list, tuple})
_TEXT: Final = frozenset({str})
_LONG_INTEGER: Final = re.compile(rf"[\[:,]-?[0-9]{{{MAX_DIGITS + 1}}}")

# Stored raw, not in \u escapes: half the bytes, legible in psql; the first migration checks that the database is UTF-8.
_stored: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_sorted: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode


class DoubledObject(dict[str, Any]):
    """An object whose text had equal keys; `hidden` are the members that do not count, but must be in the domain."""

    __slots__ = ("hidden",)
    hidden: list[tuple[str, Any]]


def canonical(value: object) -> str:
    """The canonical form of any JSON value; not itself JSON where floats occur. Raises InvalidArguments.

    The value must be a tree: a list that occurs twice is written twice.
    """
    return admit({"value": value}, None)[0][len('{"value":') : -1]


def admit(document: dict[str, Any], max_payload_bytes: int | None) -> tuple[str, dict[str, Any]]:
    """The canonical form of a document, and the document itself in plain JSON types. Raises InvalidArguments."""
    form = _fast(document)
    if form is not None:
        return form, document
    plain: dict[str, Any] = _Walk(max_payload_bytes).copy(document, "")
    return _write(plain), plain


def is_flat(value: Any) -> bool:
    """Whether a value is a list or tuple of plain values alone: then `list(value)` is what its text reads as."""
    return type(value) in _ARRAYS and PLAIN.issuperset(map(type, value))


def admit_flat(task_path: Any, args: Any, kwargs: Any) -> tuple[str, str, str] | None:
    """The canonical form of a call, and the texts of its args (a tuple is written as a list) and kwargs, by writing
    each once. None where `admit` must look: other than texts, integers, booleans and None in flat containers, or
    anything long."""
    if type(task_path) is not str or type(args) not in _ARRAYS or type(kwargs) is not dict:
        return None
    if len(args) + len(kwargs) > MAX_FLAT:
        return None
    try:
        args_json = f"[{','.join([_FLAT[type(value)](value) for value in args])}]"
        kwargs_json, sorted_json = _flat_object(kwargs) if kwargs else ("{}", "{}")
        form = f'{{"args":{args_json},"kwargs":{sorted_json},"task_path":{encode_basestring(task_path)},"v":1}}'
        if not form.isascii():
            form.encode()  # raises for a lone surrogate
    except (KeyError, ValueError):
        return None
    return None if len(form) > MAX_DIGITS or "\\u0000" in form else (form, args_json, kwargs_json)


def _flat_object(members: dict[Any, Any]) -> tuple[str, str]:
    """An object of plain values with its keys as they come, and with them sorted. Raises KeyError for any other."""
    if not _TEXT.issuperset(map(type, members)):
        raise KeyError
    written = [f"{encode_basestring(key)}:{_FLAT[type(value)](value)}" for key, value in members.items()]
    as_given = f"{{{','.join(written)}}}"
    keys = list(members)
    if keys == sorted(keys):
        return as_given, as_given
    return as_given, f"{{{','.join([text for _, text in sorted(zip(keys, written, strict=True))])}}}"


def _fast(document: dict[str, Any]) -> str | None:
    """The canonical form, or None where only the walk can tell whether there is one."""
    types = _survey(document)
    if types is None or not types <= _EXACT_TYPES:
        return None
    try:
        form = _write(document) if float in types else _sorted(document)
        if not form.isascii():
            form.encode()  # raises for a lone surrogate
    except ValueError:
        return None
    suspect = "\\u0000" in form or (len(form) > MAX_DIGITS and _LONG_INTEGER.search(form))
    return None if suspect else form


def _survey(document: dict[str, Any]) -> set[type] | None:
    """The types of all values, level by level; None where a key is no str, or depth or number of values too much."""
    types: set[type] = set()
    key_types: set[type] = {str}
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for container in level:
            if type(container) is dict:
                key_types.update(map(type, container))
                below += container.values()
            else:
                below += container
            if len(below) > _SURVEYED_VALUES:
                return None
        types.update(map(type, below))
        level = [value for value in below if type(value) is list or type(value) is dict]
        if not level:
            return types if len(key_types) == 1 else None
    return None


class _Walk:
    """The careful way through a document: copies it into plain types, or says where a fault is."""

    __slots__ = ("_holders", "_max_payload_bytes", "_values")

    def __init__(self, max_payload_bytes: int | None) -> None:
        self._max_payload_bytes = max_payload_bytes
        self._values = 0
        self._holders: list[int] = []

    def copy(self, value: Any, path: str) -> Any:
        """The value in exact JSON types; `path` is where it stands."""
        self._values += 1
        if self._max_payload_bytes is not None and self._values > self._max_payload_bytes + 4:
            raise too_large(f"more than {self._max_payload_bytes:,} values", self._max_payload_bytes)
        match value:
            case None | bool():
                return value
            case str():
                return _plain_text(str.__str__(value), path, "")
            case int():
                return _plain_integer(int.__int__(value), path)
            case float():
                return _plain_real(float.__float__(value), path)
            case list() | dict():
                return self._copy_container(value, path)
        raise InvalidArguments(f"{path} is of type {type_name(value)}, which JSON cannot hold; pass a JSON type", path)

    def _copy_container(self, value: list[Any] | dict[Any, Any], path: str) -> list[Any] | dict[str, Any]:
        if id(value) in self._holders:
            raise InvalidArguments(f"{path} contains itself; pass a document without cycles", path)
        if len(self._holders) > MAX_DEPTH:
            raise InvalidArguments(
                f"{path} is nested deeper than {MAX_DEPTH} levels; flatten it or pass a reference", path
            )
        self._holders.append(id(value))
        try:
            if isinstance(value, list):
                return [self.copy(item, f"{path}[{index}]") for index, item in enumerate(value)]
            for key, item in value.hidden if isinstance(value, DoubledObject) else ():
                self.copy(item, _member(path, key))
            pairs = ((_plain_key(key, path), item) for key, item in value.items())
            return {key: self.copy(item, _member(path, key)) for key, item in pairs}
        finally:
            self._holders.pop()


def _plain_key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise InvalidArguments(f"{path} has a key of type {type_name(key)}; JSON keys are str, so pass str(key)", path)
    return _plain_text(str.__str__(key), _member(path, key), "the key of ")


def _plain_text(value: str, path: str, what: str) -> str:
    if (at := value.find("\0")) >= 0:
        raise InvalidArguments(
            f"{what}{path} has U+0000 at character {at}, which PostgreSQL cannot store; remove it", path
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        fault = f"a lone surrogate (U+{ord(value[error.start]):04X}) at character {error.start}"
        raise InvalidArguments(f"{what}{path} has {fault}, which is no text; decode it properly", path) from None
    return value


def _plain_integer(value: int, path: str) -> int:
    if abs(value) >= _INTEGER_BOUND:
        raise InvalidArguments(f"{path} is an integer of more than {MAX_DIGITS:,} digits; pass it as a string", path)
    return value


def _plain_real(value: float, path: str) -> float:
    if not math.isfinite(value):
        raise InvalidArguments(f"{path} is {value}, which JSON cannot hold; pass a finite number or None", path)
    return value


def _member(path: str, key: str) -> str:
    """The path of an object's member: `kwargs.name`, or `kwargs["a b"]` where the key is no ASCII identifier."""
    shown = key if len(key) <= 40 else key[:39] + "…"
    if not path:
        return shown
    return f"{path}.{shown}" if shown.isascii() and shown.isidentifier() else f"{path}[{json.dumps(shown)}]"


def type_name(value: object) -> str:
    """The name of a value's type, for messages."""
    return type(value).__qualname__


def too_large(size: str, bound: int) -> InvalidArguments:
    """The refusal of a payload over its bound."""
    remedy = "store the data elsewhere and pass a reference, or raise max_payload_bytes"
    return InvalidArguments(f"args and kwargs hold {size}, more than max_payload_bytes={bound:,}; {remedy}", "")


# Writing, where json's C encoder does not serve.


def _bits(value: float) -> str:
    """A float as its IEEE double; adding zero turns negative zero into zero."""
    if not math.isfinite(value):
        raise ValueError(value)
    return "0x" + struct.pack(">d", value + 0.0).hex()


def _write(
    value: Any,
    keys: Callable[[dict[str, Any]], Iterable[str]] = sorted,
    real: Callable[[float], str] = _bits,
) -> str:
    """A document of exact types as text. The canonical form, unless `keys` and `real` say otherwise."""
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind is float:
        return real(value)
    if kind is int:
        return _digits(value)
    if kind is list:
        return "[" + ",".join([_write(item, keys, real) for item in value]) + "]"
    if kind is dict:
        members = [f"{encode_basestring(key)}:{_write(value[key], keys, real)}" for key in keys(value)]
        return "{" + ",".join(members) + "}"
    return "null" if value is None else "true" if value else "false"


def json_text(value: object) -> str:
    """The JSON text to store: keys in their order, floats as Python writes them."""
    try:
        return _stored(value)
    except ValueError:  # sys.set_int_max_str_digits() is below our bound in this process
        return _write(value, list, float.__repr__)


def _digits(value: int) -> str:
    """An integer in decimal, whatever sys.set_int_max_str_digits() says. Raises ValueError beyond our own bound."""
    try:
        return str(value)
    except ValueError:
        if abs(value) >= _INTEGER_BOUND:
            raise
        high, low = divmod(abs(value), 10**SAFE_DIGITS)
        return f"{'-' if value < 0 else ''}{_digits(high)}{low:0{SAFE_DIGITS}d}"
