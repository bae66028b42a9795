"""What is wrong with an address, in words that repeat nothing of it which may be a part of a password.

It connects to nothing; `reproq.store.db` does.
"""

import re
from difflib import get_close_matches
from typing import Final

import psycopg
from psycopg import conninfo, pq

_STRAY_AT: Final = re.compile(r"postgres(?:ql)?://(?:[^@/]*@)?+[^?]*@")
"""A URI with an @ behind the first one, or behind a slash: a password that was not escaped."""
_PASSWORD: Final = re.compile(r"password\s*=|://[^/?@]*:[^@]+@")
"""Where a password stands in an address that cannot be parsed."""
_SCHEME: Final = re.compile(r"([a-z][a-z+]{1,19})://", re.IGNORECASE)
_SCHEMES: Final = ("postgresql", "postgres")
_UNKNOWN: Final = re.compile(r'invalid (?:connection option|URI query parameter):? "([a-z_]{2,24})"')
_SECRET_BEFORE: Final = re.compile(r"pass|@", re.IGNORECASE)
_NEAR: Final = 0.7


def holds_password(dsn: str) -> bool:
    """Whether an address holds a password; one that cannot be parsed does where it says so."""
    try:
        return bool(conninfo.conninfo_to_dict(dsn).get("password"))
    except psycopg.ProgrammingError:
        return _PASSWORD.search(dsn) is not None


def fault_of(dsn: str) -> str | None:
    """Why libpq cannot parse an address, or only by taking a part of the password for something else; else None."""
    try:
        port = str(conninfo.conninfo_to_dict(dsn).get("port") or "")
    except psycopg.ProgrammingError as error:
        return _scheme_fault(dsn) or _keyword_fault(dsn, str(error)) or _masked(str(error))
    if _STRAY_AT.match(dsn):
        return "an @ stands where no user ends"
    return None if re.fullmatch(r"[0-9, ]*", port) else "the port is no number"


def _masked(reason: str) -> str:
    return re.sub(r'".*"', "...", reason.strip(), flags=re.DOTALL)


def _scheme_fault(dsn: str) -> str:
    found = _SCHEME.match(dsn)
    if found is None or found[1] in _SCHEMES:
        return ""
    return f"it begins with {found[1]}://; did you mean postgresql://?"


def _keyword_fault(dsn: str, reason: str) -> str:
    """Names a keyword that libpq does not know. Behind a password without quotes it may be the rest of that, and is
    named only if it is nearly a word of libpq's."""
    if (found := _UNKNOWN.search(reason)) is None:
        return ""
    word = found[1]
    known = [option.keyword.decode() for option in pq.Conninfo.get_defaults()]
    near = get_close_matches(word, known, 1, _NEAR)
    before = re.split(rf"\b{word}\s*=", dsn, maxsplit=1)[0]
    if not near and _SECRET_BEFORE.search(before):
        return ""
    return f"it has the unknown keyword {word!r}" + (f"; did you mean {near[0]}?" if near else "")
