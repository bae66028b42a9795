"""Values as people write them, in flags, environment, files and Django's settings: durations, sizes, names, commands.

Every parser takes what a source holds and raises ValueError with the rest of a sentence that begins with the value.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from math import inf
from typing import Final

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SIZE: Final = re.compile(r"([+-]?[0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
EXECUTORS: Final = ("fork", "pool", "spawn", "command", "mock")
LISTEN_MODES: Final = ("auto", "off")
POOLER_MODES: Final = ("auto", "on", "off")
SWITCHES: Final = ("on", "off")
_POWERS: Final = " kmgt"
_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_LASTING: Final = (("days", 86_400), ("h", 3600), ("min", 60))


def duration(value: object) -> float:
    """Seconds of `250ms`, `1s`, `5m`, `2h`, `1d`, a plain number of seconds, or a timedelta."""
    if isinstance(value, bool):
        raise ValueError("is not a duration such as 250ms, 1s, 5m or 2h")
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e18 else inf
    seconds = getattr(value, "total_seconds", None)
    if seconds is not None:
        return float(seconds())
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("is not a duration such as 250ms, 1s, 5m or 2h")
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def lasting(seconds: float) -> str:
    """How long something has lasted, as people say it: `90 s`, `27 min`, `5 h`, `12 days`."""
    seconds = max(0.0, seconds)
    for unit, size in _LASTING:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def outside(low: float, high: float, unit: str = "") -> str:
    """The sentence about a value outside its bounds, with numbers as people write them: no 2.592e+06."""
    return f"is outside {_digits(low)} to {_digits(high)} {unit}".rstrip()


def _digits(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:g}"


def whole(value: object) -> int:
    """A whole number, or the text of one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or _WHOLE.fullmatch(value.strip()) is None:
        raise ValueError("is not a whole number")
    return int(value)


def size(value: object) -> int:
    """Bytes of `10MB`, `64MiB`, `1.5GiB`, or of a plain number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or (match[3] and not match[2]):
        raise ValueError("is not a size in bytes such as 1000000, 10MB or 64MiB")
    unit = (1024 if match[3] else 1000) ** _POWERS.index(match[2].lower() or " ")
    return int(match[1]) * unit if "." not in match[1] else int(float(match[1]) * unit)


def names(value: object) -> tuple[str, ...]:
    """A list of names, or one text with commas between them."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or not all(isinstance(part, str) and part.strip() for part in parts):
        raise ValueError("is not a list of names such as default,mail")
    return tuple(dict.fromkeys(part.strip() for part in parts))


def text(value: object) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError("is not a text")
    return value


def executor_name(value: object) -> str:
    """`fork`, `pool`, `spawn`, `command` or `mock`, in any case; `shell` means `spawn`."""
    name = value.strip().lower() if isinstance(value, str) else value
    if name == "shell":
        name = "spawn"
    if name not in EXECUTORS:
        raise ValueError(f"is none of {', '.join(EXECUTORS)}")
    return str(name)


def pooler_mode(value: object) -> str:
    """`auto`, `on` or `off`, in any case; true and false are taken for the last two."""
    mode = str(value).strip().lower()
    mode = {"true": "on", "false": "off"}.get(mode, mode)
    if mode not in POOLER_MODES:
        raise ValueError(f"is none of {', '.join(POOLER_MODES)}")
    return mode


def listen_mode(value: object) -> str:
    """`auto` or `off`, in any case; TOML's false is `off`."""
    mode = "off" if value is False else value.strip().lower() if isinstance(value, str) else value
    if mode not in LISTEN_MODES:
        raise ValueError(f"is none of {', '.join(LISTEN_MODES)}")
    return str(mode)


def switch(value: object) -> bool:
    """`on` or `off`, in any case, or a truth value of TOML or Python; `true`, `1`, `yes` and their opposites, too."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else value
    if word in ("on", "true", "yes", "1"):
        return True
    if word in ("off", "false", "no", "0"):
        return False
    raise ValueError("is neither on nor off")


def commands(value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Pairs of pattern and argv, from a mapping (or its JSON text) of patterns to lists, or to texts for shlex."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except ValueError:
            value = None
    pairs = tuple(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise ValueError(
            'is not a table of patterns and commands such as {"queue:media": ["/opt/media/run", "--fast"]}'
        )
    return tuple((_pattern(pattern), _argv(pattern, template)) for pattern, template in pairs)


def _pattern(value: object) -> str:
    if not isinstance(value, str) or not value.removeprefix("queue:").strip():
        raise ValueError(f"has the pattern {value!r}; give a task path such as shop.media.*, or queue:NAME")
    return value


def _argv(pattern: str, template: object) -> tuple[str, ...]:
    try:
        parts = shlex.split(template) if isinstance(template, str) else template
    except ValueError as error:
        raise ValueError(f"has for {pattern} a command that cannot be split: {error}") from None
    if not isinstance(parts, Sequence) or not all(isinstance(part, str) and "\0" not in part for part in parts):
        raise ValueError(f"has for {pattern} a command that is neither a text nor a list of texts")
    if not parts or not parts[0] or "{payload}" in parts[0]:
        raise ValueError(
            f"has for {pattern} a command without a program; begin it with one, as in "
            '["/opt/media/run", "--payload", "{payload}"]'
        )
    return tuple(parts)
