"""What a process that works until it is stopped does where its database is away as it starts: it waits, as later on.

It refuses to know what is asked of the database, and leaves an address that is refused to a person.
"""

import random
import time
from collections.abc import Callable
from typing import Final

from reproq.cli.one_database import DJANGO_ADDRESS, Place, compare, installation_at
from reproq.errors import DatabaseUnavailable
from reproq.service import ending_in_order
from reproq.store.db import address, is_outage
from reproq.store.lane import FIRST_RETRY_SECONDS, LONGEST_PAUSE_SECONDS, Contact
from reproq.telemetry.events import Event
from reproq.telemetry.lines import log_now

WORKER: Final = "worker"
PRODUCER: Final = "producer"


def refuse_two_once_reached(given: Place, of_project: Place) -> None:
    """Raise ConfigurationError where two addresses lead to two databases, and wait for one that is away: nothing is
    claimed before it has answered. TERM and INT end the process meanwhile, at once and with 0."""
    with ending_in_order():
        compare(given, of_project, lambda place: once_reached(place, installation_at))


def once_reached[T](place: Place, ask: Callable[..., T]) -> T:
    """What `ask`, which takes what `installation_at` does, is told; where the database is away it is waited for."""
    contact = Contact(address(place.dsn), _tell)
    part = PRODUCER if place.source == DJANGO_ADDRESS else WORKER  # the project's own role enqueues
    wait_seconds = FIRST_RETRY_SECONDS
    while True:
        try:
            found = ask(place, part=part, answer_seconds=place.answer_seconds)
        except DatabaseUnavailable as error:
            cause = error.__cause__
            if not isinstance(cause, Exception) or not is_outage(cause):
                raise
            contact.lost(place, cause, contact.changes)
        else:
            contact.back(place, lambda: "")  # which host answers is told by the connections that stay
            return found
        time.sleep(wait_seconds * random.uniform(0.8, 1.2))  # noqa: S311 - spreads reconnects
        wait_seconds = min(wait_seconds * 2, LONGEST_PAUSE_SECONDS)


def _tell(text: str) -> None:
    log_now(Event("database.notice", {"text": text}))
