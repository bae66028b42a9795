"""Addresses: which are refused before anybody connects, what of them is shown, and which errors mean waiting."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, errors

from reproq.errors import ConfigurationError, DatabaseUnavailable
from reproq.store.addresses import holds_password
from reproq.store.db import Database, address, connect_bounds, is_bad_row, is_outage, opened
from tests.executors.descriptors import only

PASSWORD = "p@ss:/w%rd"
ENCODED = "p%40ss%3A%2Fw%25rd"


@pytest.mark.lesson("dsn-built-without-escaping")
@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://me:{PASSWORD}@db.example:5432/shop",
        "postgresql://me:sec@ret@db.example/shop",
        "postgresql://me:sec/ret@db.example/shop",
        "postgresql://me:s@c?ret@db.example/shop",
        "postgresql://me:ret%zz@db.example/shop",
        "postgresql://db.example:secret/shop",
        "postgres://me:sec@ret@db.example/shop?sslmode=disable",
        "host=db.example password=sec ret dbname=shop",
        "host=db.example password='secret",
        'host=db.example password="sec ret" dbname=shop',
        "host=db.example password=sec ret=1 dbname=shop",
        "postgresql://me:sec@db.example/shop?ret=1",
        "postgrs://me:sec@db.example/shop?ret=1",
        "host=db.example port=secret",
        "secret",
    ],
)
def test_an_address_that_libpq_misreads_is_refused_without_a_word_of_it(dsn: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Database(dsn, "tests")
    said = str(caught.value)
    assert "the database address cannot be parsed (" in said
    assert "%40 %3A %2F %25" in said
    for word in ("ss:", "w%rd", "sec", "ret", "zz"):
        assert word not in said.replace("percent", "")


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("host=db.example prot=5432", "(it has the unknown keyword 'prot'; did you mean port?)"),
        ("password=p prot=5432", "(it has the unknown keyword 'prot'; did you mean port?)"),
        ("host=db.example pasword=p", "(it has the unknown keyword 'pasword'; did you mean password?)"),
        ("postgresql://db.example/shop?ssl=on", "(it has the unknown keyword 'ssl'"),
        ("host=db.example database=shop password=p", "(it has the unknown keyword 'database')"),
        ("postgrs://db.example/shop", "(it begins with postgrs://; did you mean postgresql://?)"),
        ("postgrs://me:p@db.example/shop?sslmode=require", "(it begins with postgrs://; did you mean postgresql://?)"),
    ],
)
def test_a_misspelt_word_of_an_address_is_named_with_what_was_meant(dsn: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Database(dsn, "tests")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("dsn", "does"),
    [
        ("host=db.example password=p", True),
        ("postgresql://me:p@db.example/shop", True),
        ("host=db.example", False),
        ("host=db.example prot=5432 password = p", True),
        ("postgrs://me:p@db.example/shop", True),
        ("postgrs://me@db.example:5432/shop", False),
        ("host=db.example prot=5432 dbname=shop", False),
    ],
)
def test_a_password_is_found_in_an_address_that_can_be_parsed_or_cannot(dsn: str, does: bool) -> None:
    assert holds_password(dsn) is does


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "postgresql://",
        "postgresql:///shop?host=/run/postgresql&port=5433",
        f"postgresql://me:{ENCODED}@db.example:5432/shop",
        "postgresql://me@one:5432,two:5433/shop?target_session_attrs=read-write",
        "postgresql://me:pw@[::1]/shop?options=me@here",
        "host=a,b port=5432,5433 dbname=shop",
        f"host=db.example password='{PASSWORD}'",
        "service=shop",
    ],
)
def test_an_address_that_libpq_takes_is_taken(dsn: str) -> None:
    assert Database(dsn, "tests").dsn == dsn


def test_an_address_is_shown_without_its_password() -> None:
    assert address(f"postgresql://me:{ENCODED}@db.example:5432/shop") == (
        "host=db.example port=5432 dbname=shop user=me"
    )
    assert address("") == "(libpq's defaults)"
    assert address("host='") == "(an address that cannot be parsed)"


@pytest.fixture
def role(pg: psycopg.Connection) -> Iterator[str]:
    """A role with the password of the lesson."""
    name = str(pg.info.dbname).replace("reproq_test_", "reproq_test_role_")
    pg.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'".encode())
    yield name
    pg.execute(f"DROP ROLE {name}".encode())


@pytest.mark.lesson("dsn-built-without-escaping")
@pytest.mark.parametrize("form", ["uri", "keywords"])
def test_a_password_with_every_special_character_arrives_whole(dsn: str, role: str, form: str) -> None:
    parts = conninfo.conninfo_to_dict(dsn)
    if form == "uri":
        host, port = str(parts["host"]).replace("/", "%2F"), parts.get("port") or 5432
        given = f"postgresql://{role}:{ENCODED}@{host}:{port}/{parts['dbname']}"
    else:
        given = conninfo.make_conninfo(dsn, user=role, password=PASSWORD)
    database = Database(given, "tests")
    with database.transaction() as cursor:
        assert cursor.connection.info.password == PASSWORD
        assert cursor.execute("SELECT current_user").fetchone() == (role,)
    database.close()


WAIT = [
    "ConnectionException",
    "AdminShutdown",
    "CrashShutdown",
    "CannotConnectNow",
    "ReadOnlySqlTransaction",
    "DiskFull",
]
WAIT += ["OutOfMemory", "TooManyConnections", "SerializationFailure", "DeadlockDetected", "LockNotAvailable"]
WAIT += ["IdleSessionTimeout", "IdleInTransactionSessionTimeout", "TransactionTimeout"]
STOP = [
    "UndefinedTable",
    "DivisionByZero",
    "CheckViolation",
    "InsufficientPrivilege",
    "QueryCanceled",
    "InternalError_",
]


@pytest.mark.parametrize("name", WAIT)
def test_what_may_pass_by_itself_is_an_outage(name: str) -> None:
    assert is_outage(getattr(errors, name)("…"))


@pytest.mark.parametrize("name", STOP)
def test_any_other_state_is_a_bug_and_not_waited_for(name: str) -> None:
    assert not is_outage(getattr(errors, name)("…"))


def test_a_connection_that_breaks_without_a_state_is_an_outage() -> None:
    assert is_outage(psycopg.OperationalError("server closed the connection unexpectedly"))
    assert not is_outage(psycopg.OperationalError('FATAL:  password authentication failed for user "me"'))
    assert not is_outage(ValueError("ours"))


def test_a_database_that_answers_and_refuses_is_not_said_to_be_out_of_reach(dsn: str) -> None:
    said = "does not do what it is asked: canceling statement due to user request"
    with (
        pytest.raises(DatabaseUnavailable, match=said),
        opened(dsn, "tests") as database,
        database.statement() as cursor,
    ):
        cursor.execute("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)")


@pytest.mark.parametrize("count", range(3))
def test_a_connection_that_there_are_too_few_descriptors_for_is_an_outage(dsn: str, count: int) -> None:
    database = Database(dsn, "tests")
    with only(count), suppress(psycopg.OperationalError):  # of the others, none is waited out
        database.connected()
    database.connected()
    database.close()


def test_of_several_hosts_each_must_refuse_before_nobody_waits(dsn: str) -> None:
    """The one that would let us in may be down, while its neighbour is no server of ours."""
    host, missing = conninfo.conninfo_to_dict(dsn)["host"], "reproq_test_nowhere"
    down = conninfo.make_conninfo(dsn, host=f"{host},/nonexistent", port=",", dbname=missing)
    with pytest.raises(psycopg.OperationalError, match="does not exist") as caught:
        Database(down, "tests").connected()
    assert is_outage(caught.value)
    refused = conninfo.make_conninfo(dsn, host=f"{host},{host}", port=",", dbname=missing)
    with pytest.raises(ConfigurationError, match="refuses us"):
        Database(refused, "tests").connected()


OF_VALUES = ["InvalidTextRepresentation", "UntranslatableCharacter", "CheckViolation"]
OF_TRIGGERS = ["RaiseException", "NoDataFound", "TooManyRows", "AssertFailure"]


@pytest.mark.parametrize("name", OF_VALUES + OF_TRIGGERS)
def test_a_refused_value_is_a_bad_row(name: str) -> None:
    assert is_bad_row(getattr(errors, name)("…"))


def test_limits_of_the_server_are_a_bad_row_and_an_outage_is_none() -> None:
    assert is_bad_row(errors.ProgramLimitExceeded("…"))
    assert is_bad_row(errors.StatementTooComplex("…"))
    assert not is_bad_row(errors.DeadlockDetected("…"))
    assert not is_bad_row(errors.UndefinedTable("…"))


@pytest.mark.parametrize(
    ("dsn", "bounds"),
    [
        ("dbname=shop", (5, 1)),
        ("postgresql://shop@db1/shop", (5, 1)),
        ("postgresql://shop@db1:5432,db2:5433,db3/shop?connect_timeout=7", (7, 3)),
        ("hostaddr=10.0.0.1,10.0.0.2", (5, 2)),
        ("host=db1 connect_timeout=1", (2, 1)),
    ],
)
def test_of_an_address_it_is_known_how_long_each_of_how_many_hosts_is_tried(
    dsn: str, bounds: tuple[float, int]
) -> None:
    assert connect_bounds(dsn, {}) == bounds


@pytest.mark.parametrize(
    ("dsn", "environment", "hosts"),
    [
        ("dbname=shop", {"PGHOST": "db1,db2,db3"}, 3),
        ("dbname=shop", {"PGHOSTADDR": "10.0.0.1,10.0.0.2"}, 2),
        ("dbname=shop", {"PGHOST": "db1,db2", "PGSERVICE": "shop"}, 2),
        ("host=db1 dbname=shop", {"PGHOST": "db1,db2,db3"}, 1),
        ("dbname=shop", {"PGPORT": "5432,5433"}, 1),
    ],
)
def test_as_many_hosts_are_counted_as_are_tried_one_after_the_other(
    dsn: str, environment: dict[str, str], hosts: int
) -> None:
    assert connect_bounds(dsn, environment) == (5, hosts)


def test_the_hosts_of_libpqs_environment_are_tried_one_by_one_and_those_of_a_service_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is counted is what psycopg does: it gives each try its seconds."""
    tried: list[str] = []

    def fail(conninfo: str, **options: object) -> object:
        tried.append(conninfo)
        raise psycopg.OperationalError("not there")

    monkeypatch.setattr(psycopg.Connection, "_connect_gen", fail)
    services = tmp_path / "services"
    services.write_text("[shop]\nhost=/nowhere/1,/nowhere/2\nport=1,2\n")
    for environment in ({"PGHOST": "/nowhere/1,/nowhere/2"}, {"PGSERVICEFILE": str(services), "PGSERVICE": "shop"}):
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            tried.clear()
            with pytest.raises(psycopg.OperationalError):
                Database("dbname=shop", "tests").connected()
            assert len(tried) == connect_bounds("dbname=shop", os.environ)[1]


def test_a_connect_timeout_that_is_no_number_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigurationError, match=r"host=db1 has a bad value for connect_timeout: 'soon'; write whole"):
        connect_bounds("host=db1 connect_timeout=soon", {})
