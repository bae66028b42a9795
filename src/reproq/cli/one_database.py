"""Whether two addresses lead to one database: what tells is the uuid drawn when its tables were made.

It refuses to know how a command came by the addresses, and whether it waits for a database that is away (`patience`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import click

from reproq.cli import ADDRESS_FROM
from reproq.errors import ConfigurationError, NotMigrated
from reproq.store.db import address, check_address, opened
from reproq.store.workers import installation

DJANGO_ADDRESS: Final = "DATABASES of the Django project"


@dataclass(frozen=True, slots=True)
class Place:
    """An address, where it stands, and how long whoever waits for its database waits for one answer."""

    dsn: str
    source: str
    answer_seconds: float


type Comparison = Callable[[Place, Place], None]


def refuse_two_databases(given: Place, of_project: Place) -> None:
    """Raise ConfigurationError where two addresses lead to two databases, DatabaseUnavailable where one is away."""
    compare(given, of_project, installation_at)


def compare(given: Place, of_project: Place, ask: Callable[[Place], str]) -> None:
    """Raise ConfigurationError unless both answer the same. Two addresses may well lead to one database."""
    found = []
    for place in (given, of_project):
        say_where_from(place.source)
        found.append(ask(place))
    if found[0] != found[1]:
        raise _two(f"{address(given.dsn)} ({found[0]})", given, f"{address(of_project.dsn)} ({found[1]})", of_project)


def refuse_one_at_rest(given: Place, of_project: Place) -> None:
    """Raise ConfigurationError: a server that does not run is not the one that an address leads to. To start it, only
    to learn that, would be for nothing."""
    check_address(given.dsn)
    say_where_from(given.source)
    at_rest = f"{address(of_project.dsn)} (the embedded server, which is not started for it)"
    raise _two(address(given.dsn), given, at_rest, of_project)


def _two(found: str, given: Place, other: str, of_project: Place) -> ConfigurationError:
    return ConfigurationError(
        f"{given.source} leads to {found}, but {of_project.source} to {other}; remove one of them or make them the "
        "same database. Where DATABASE_URL is meant for another database of the project, set REPROQ_DSN to this "
        "backend's: it wins"
    )


def installation_at(place: Place, *, part: str = "", answer_seconds: float = 0.0) -> str:
    """What tells the database of a place from others. `part` and `answer_seconds` are those of `Database`."""
    with opened(place.dsn, "reproq", part=part, answer_seconds=answer_seconds) as database:
        try:
            with database.transaction() as cursor:
                return f"installation {installation(cursor)}"
        except NotMigrated:  # a project's other database, say
            return "not migrated"


def say_where_from(source: str) -> None:
    """Let every error of the database from here on say where its address stands (see `cli.LazyGroup.invoke`)."""
    if (context := click.get_current_context(silent=True)) is not None:
        context.meta[ADDRESS_FROM] = source
