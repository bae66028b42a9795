"""`listen_dsn`: one that cannot be an address, or leads to another database, is refused; one that is away is not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql

from reproq.cli.listen_address import refuse_another_database, two_databases
from reproq.cli.one_database import Place
from reproq.store.db import Database
from reproq.store.server import whereabouts
from tests.acceptance.workers import reproq, statuses, wait_for, worker
from tests.plugins.databases import TestServer


@pytest.fixture
def copy(server: TestServer) -> Iterator[str]:
    """A copy of the migrated database: another one, with the same installation."""
    address = server.create(server.template)
    yield address
    server.leave(address)


def place(dsn: str) -> Place:
    return Place(dsn, "somewhere", 5.0)


@pytest.mark.parametrize("arguments", [("worker",), ("worker", "--burst"), ("doctor",), ("status",)], ids=" ".join)
def test_what_is_no_address_is_refused_to_every_command_with_where_it_stands(
    dsn: str, arguments: tuple[str, ...]
) -> None:
    refused = reproq(dsn, *arguments, check=False, REPROQ_LISTEN_DSN="banana")
    assert refused.returncode == 2
    place = "the environment variable REPROQ_LISTEN_DSN"
    assert f"Error: {place}: listen_dsn cannot work: the database address cannot be parsed" in refused.stderr
    assert "DATABASES" not in refused.stderr
    assert "banana" not in refused.stderr, "it may be a password"


def test_another_database_ends_a_worker_that_would_listen_there_and_both_are_named(dsn: str, copy: str) -> None:
    refused = reproq(dsn, "worker", "--listen-dsn", copy, check=False)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("Error: --listen-dsn: listen_dsn leads to ")
    for address in (dsn, copy):
        assert f"(database {conninfo.conninfo_to_dict(address)['dbname']} of the cluster " in line
    assert line.endswith("make listen_dsn lead to the same one, past the pooler, or leave it out")
    for deaf in (("--burst",), ("--burst", "--listen", "off")):
        assert reproq(dsn, "worker", *deaf, "--listen-dsn", copy).returncode == 0, "it listens to nobody"


def test_a_listen_database_that_is_away_costs_one_line_of_the_log_and_the_worker_polls(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("add", 1, 2)
    away = conninfo.make_conninfo(dsn, host="127.0.0.1", port="1")
    with worker(dsn, log, "--listen-dsn", away):
        wait_for("the run", lambda: statuses(pg) == {"SUCCESSFUL": 1})
        wait_for("the line", lambda: "LISTEN lost, the worker polls until it is back" in log.read_text())
    assert "Error" not in log.read_text()


def test_another_way_to_the_same_database_and_an_address_that_is_refused_are_let_through(dsn: str) -> None:
    for address in (conninfo.make_conninfo(dsn, application_name="ears"), conninfo.make_conninfo(dsn, dbname="none")):
        refuse_another_database(place(address), place(dsn))


@pytest.mark.direct
def test_a_role_without_rights_knows_the_database_by_the_server_and_without_that_right_not_at_all(
    dsn: str, pg: psycopg.Connection
) -> None:
    name = f"ears_{pg.info.dbname}"
    pg.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    ears, ours = Database(conninfo.make_conninfo(dsn, user=name), "tests"), Database(dsn, "tests")
    try:
        by_server, by_us = whereabouts(ours)
        assert by_server.startswith(f"database {pg.info.dbname} of the cluster ")
        assert by_us.startswith("installation ")
        assert whereabouts(ears) == (by_server, "")
        pg.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public")
        assert whereabouts(ears) == ("", "")
    finally:
        ears.close()
        ours.close()
        pg.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.mark.parametrize(
    ("heard", "says"),
    [
        (("database a of the cluster 1", "installation 1"), ""),
        (("database b of the cluster 1", "installation 1"), "(database b of the cluster 1), but the runs are at"),
        (("", "installation 1"), ""),
        (("", "installation 2"), "(installation 2), but the runs are at host=db (installation 1)"),
        (("", ""), ""),
    ],
)
def test_two_databases_are_told_apart_by_the_first_name_that_both_tell(heard: tuple[str, str], says: str) -> None:
    told = two_databases("host=ears", heard, "host=db", ("database a of the cluster 1", "installation 1"))
    assert says in told
    assert bool(told) == bool(says)
