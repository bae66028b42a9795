"""Why a database cannot be reached, in one line for the log, and of which kind that is. It knows what libpq and psycopg
say, and nothing else."""

import re
from enum import StrEnum
from typing import Final

from psycopg.errors import ReadOnlySqlTransaction

from reproq.errors import AddressRefused

_EACH: Final = "\nMultiple connection attempts failed."
"""From here on psycopg lists what each of several hosts said; the last one's words stand before it, too."""
_HOST: Final = re.compile(r"\n- host: '[^\n]*?', port: [^\n]*?, hostaddr: (?:None|'[^']*'): ")
_PREFIXES: Final = ("connection failed: ", "connection is bad: ")
"""psycopg's own words before libpq's, which say the same."""
_GUESS: Final = " This probably means the server terminated abnormally before or while processing the request."
_READ_ONLY: Final = "session is read-only"
_STANDBY: Final = "a standby answers, and a worker waits for the primary"


class Kind(StrEnum):
    """In what way there is no answer. A change from one to another is news, other words of the same kind are not."""

    UNREACHABLE = "unreachable"
    REFUSES = "refuses"
    STANDBY = "standby"
    BUSY = "busy"
    """It answers, and cannot do what it is asked: a deadlock, a full disk."""


def kind(error: BaseException) -> Kind:
    """Of what kind the loss of a server is. Of several hosts the standby that answers is the news."""
    if isinstance(error, AddressRefused):
        return Kind.REFUSES
    return Kind.STANDBY if is_standby(error) else Kind.UNREACHABLE


def is_standby(error: BaseException) -> bool:
    """Whether a server answered that takes no writes."""
    return isinstance(error, ReadOnlySqlTransaction) or _READ_ONLY in str(error)


def reason(error: BaseException) -> str:
    """What was said, without line breaks, of several hosts by each once; where a standby was met, that it is one: libpq
    only calls it read-only."""
    said = "; ".join(dict.fromkeys(_line(words) for words in each_host(error)))
    return f"{said} ({_STANDBY})" if is_standby(error) else said


def each_host(error: BaseException) -> list[str]:
    """What was said of each host that was tried, where there were several, else the one text."""
    text = str(error)
    if _EACH not in text:
        return [text]
    return _HOST.split(text)[1:] or [text.partition(_EACH)[0]]


def _line(words: str) -> str:
    line = " ".join(words.split())
    for prefix in _PREFIXES:
        line = line.removeprefix(prefix)
    return line.replace(_GUESS, "")
