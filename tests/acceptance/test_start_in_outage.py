"""A worker or beat whose address stands in the environment and in DATABASES, started while the database is away."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from tests.acceptance.workers import process, statuses, wait_for, worker
from tests.store.proxy import Proxy


@pytest.fixture
def away(dsn: str) -> Iterator[Proxy]:
    """Another way to the test's database, which refuses connections until it listens."""
    proxy = Proxy(dsn)
    yield proxy
    proxy.close()


def lost(log: Path) -> Callable[[], bool]:
    return lambda: "database lost, retrying until it is back" in log.read_text()


def test_a_worker_that_is_started_in_an_outage_waits_tells_it_once_and_works_afterwards(
    dsn: str, log: Path, away: Proxy, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("add", 1, 2)
    with worker(dsn, log, "--burst", REPROQ_DSN=away.dsn) as started:
        wait_for("the worker to tell of the outage", lost(log))
        away.listen()
        assert started.wait(60) == 0, log.read_text()
    assert statuses(pg) == {"SUCCESSFUL": 1}
    told = log.read_text()
    assert (told.count("database lost"), told.count("database back")) == (1, 1), told
    assert "Error" not in told


@pytest.mark.direct
def test_a_worker_that_is_started_where_only_a_standby_answers_waits_and_says_so(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("add", 1, 2)
    pg.execute(f"ALTER DATABASE {pg.info.dbname} SET default_transaction_read_only = on")
    with worker(dsn, log, "--burst", REPROQ_DSN=conninfo.make_conninfo(dsn, keepalives_idle="7")) as started:
        wait_for("the worker to tell of the outage", lost(log))
        assert "a standby answers, and a worker waits for the primary" in log.read_text()
        pg.execute(f"ALTER DATABASE {pg.info.dbname} RESET default_transaction_read_only")
        assert started.wait(60) == 0, log.read_text()
    assert statuses(pg) == {"SUCCESSFUL": 1}


def test_who_waits_for_the_first_word_of_a_server_ends_at_once_and_in_order(dsn: str, log: Path, away: Proxy) -> None:
    away.freeze()
    away.listen()
    with process(dsn, log, "worker", REPROQ_DSN=away.dsn) as started:
        wait_for("it to connect", lambda: away.accepted)
        started.send_signal(signal.SIGTERM)
        assert started.wait(10) == 0, log.read_text()
    assert log.read_text() == "", "it went on to the end of its patience with the server"


@pytest.mark.parametrize("command", ["worker", "beat"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_who_waits_for_the_database_ends_at_once_and_in_order(
    dsn: str, log: Path, away: Proxy, command: str, number: signal.Signals
) -> None:
    with process(dsn, log, command, REPROQ_DSN=away.dsn) as started:
        wait_for("it to tell of the outage", lost(log))
        started.send_signal(number)
        assert started.wait(10) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def test_an_address_that_is_refused_in_the_place_of_a_database_that_is_away_ends_a_worker_with_the_remedy(
    dsn: str, log: Path
) -> None:
    refused = conninfo.make_conninfo(dsn, dbname="nobody_made_it")
    with worker(dsn, log, REPROQ_DSN=refused) as started:
        assert started.wait(60) == 2
    assert "correct the address or the server (the address comes from the environment variable" in log.read_text()


def test_a_command_does_not_wait_for_a_database_that_is_away(dsn: str, log: Path, away: Proxy) -> None:
    for command in (["beat", "--once"], ["worker", "--requeue-id", "1"]):
        with process(dsn, log, *command, REPROQ_DSN=away.dsn) as started:
            assert started.wait(60) == 1
    assert not lost(log)()
