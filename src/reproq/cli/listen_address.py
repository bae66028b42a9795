"""Whether `listen_dsn` leads to the database whose producers are to be heard: NOTIFY stays within one database.

It refuses to know how a worker listens, and leaves an address that does not answer to that (`store.listener`).
"""

from typing import Final

import psycopg

from reproq.cli.one_database import Place
from reproq.cli.patience import once_reached
from reproq.errors import ConfigurationError, ReproqError
from reproq.service import ending_in_order
from reproq.store.db import address, opened
from reproq.store.server import whereabouts

REMEDY: Final = (
    "NOTIFY stays within one database: make listen_dsn lead to the same one, past the pooler, or leave it out"
)


def refuse_another_database(listens: Place, works: Place) -> None:
    """Raise ConfigurationError where `listen_dsn` leads to another database than the worker's, which is waited for as
    `refuse_two_once_reached` does. One that does not answer is the listener's to tell: the worker polls."""
    with ending_in_order():
        known = once_reached(works, whereabouts_at)
        try:
            found = whereabouts_at(listens, answer_seconds=listens.answer_seconds)
        except (ReproqError, psycopg.Error):
            return
    if fault := two_databases(listens.dsn, found, works.dsn, known):
        raise ConfigurationError(f"{listens.source}: {fault}; {REMEDY}")


def whereabouts_at(place: Place, *, part: str = "", answer_seconds: float = 0.0) -> tuple[str, str]:
    """What tells the database of a place from others. `part` and `answer_seconds` are those of `Database`."""
    with opened(place.dsn, "reproq", part=part, answer_seconds=answer_seconds) as database:
        return whereabouts(database)


def two_databases(listen_dsn: str, heard: tuple[str, str], dsn: str, known: tuple[str, str]) -> str:
    """That `listen_dsn` leads elsewhere, by the first name that both tell; empty where it does not, or none is told."""
    for here, there in zip(heard, known, strict=True):
        if here and there:
            told = f"listen_dsn leads to {address(listen_dsn)} ({here}), but the runs are at {address(dsn)} ({there})"
            return "" if here == there else told
    return ""
