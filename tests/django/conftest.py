"""What the tests of the Django face share: a second database, what a worker does to a run, captured signals."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from reproq.lifecycle import Failure, Success, decide
from reproq.store import claims
from reproq.store.finalising import Finalisation, finalize
from tests.django.admin_site import run, staff  # noqa: F401 - fixtures

OURS = "reproq_django.backend.ReproqBackend"
ROUTERS = ["reproq_django.routers.ReproqRouter"]

Outcome = Success | Failure


class Worker:
    """Claims and ends runs through the store, as a worker does."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.token = 0

    def claim(self) -> claims.Claimed:
        """Claim the one run that is READY."""
        self.token += 1
        with self.connection.cursor() as cursor:
            (claimed,) = claims.claim(
                cursor, queues=["default"], limit=1, token=self.token, worker_id=f"w-{self.token}", lease_seconds=30
            )
        return claimed

    def end(self, claimed: claims.Claimed, outcome: Outcome) -> None:
        item = Finalisation(claimed.claim.run_id, claimed.claim.token, decide(claimed.claim, outcome))
        with self.connection.cursor() as cursor:
            assert finalize(cursor, [item])

    def work(self, outcome: Outcome) -> None:
        """One whole attempt."""
        self.end(self.claim(), outcome)


@pytest.fixture
def worker(db: str, pg: psycopg.Connection[Any]) -> Worker:
    return Worker(pg)


@pytest.fixture
def count_runs(pg: psycopg.Connection[Any]) -> Callable[[], int]:
    """How many runs another connection sees."""
    return lambda: pg.execute("SELECT count(*) FROM task_runs").fetchone()[0]


@contextmanager
def alias_of(name: str, settings: dict[str, Any]) -> Iterator[str]:
    from django.db import connections

    connections.settings[name] = settings
    yield name
    connections[name].close()
    delattr(connections._connections, name)
    del connections.settings[name]


@pytest.fixture
def second(db: str, server: Any) -> Iterator[str]:
    """The alias `second`: another migrated database."""
    from django.db import connections

    address = server.create(server.template)
    name = conninfo.conninfo_to_dict(address)["dbname"]
    with alias_of("second", dict(connections["default"].settings_dict) | {"NAME": name}) as alias:
        yield alias
    server.leave(address)


def backend_on(database: str) -> dict[str, Any]:
    """An entry of TASKS whose runs are in one database."""
    return {"BACKEND": OURS, "OPTIONS": {"DATABASE": database, "RETENTION": "90d"}}


@pytest.fixture
def apart(second: str) -> Iterator[str]:
    """The database of the only backend; `default` holds none of our tables."""
    from django.core.management import call_command
    from django.test import override_settings

    call_command("migrate", "reproq_django", "zero", verbosity=0)
    with override_settings(TASKS={"default": backend_on(second)}, DATABASE_ROUTERS=ROUTERS):
        yield second


@pytest.fixture
def both(second: str) -> Iterator[str]:
    """The database of the backend `reports`; that of the backend `default` is `default`."""
    from django.test import override_settings

    settings = {"default": backend_on("default"), "reports": backend_on(second)}
    with override_settings(TASKS=settings, DATABASE_ROUTERS=ROUTERS):
        yield second


@pytest.fixture
def sqlite(db: str, tmp_path: Path) -> Iterator[str]:
    """The alias `lite`: an SQLite database in a file (Django never closes one in memory)."""
    from django.db import connections

    settings = dict(connections["default"].settings_dict)
    settings |= {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "lite.sqlite3", "OPTIONS": {}}
    with alias_of("lite", settings) as alias:
        yield alias


@contextmanager
def captured(signal: Any) -> Iterator[list[tuple[Any, Any]]]:
    """The `(sender, task_result)` pairs that a signal sends."""
    received: list[tuple[Any, Any]] = []

    def receive(sender: Any, task_result: Any, **rest: Any) -> None:
        received.append((sender, task_result))

    signal.connect(receive)
    try:
        yield received
    finally:
        signal.disconnect(receive)
