"""What psycopg says of several hosts, as one line that says each thing once."""

import psycopg
from psycopg import errors

from reproq.errors import AddressRefused
from reproq.store.unreachable import Kind, each_host, kind, reason

REFUSED = """connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused
\tIs the server running on that host and accepting TCP/IP connections?"""
READ_ONLY = 'connection failed: connection to server at "127.0.0.1", port 2 failed: session is read-only'


def of_hosts(*said: str) -> psycopg.OperationalError:
    """As psycopg words it: the last one's first, and then those of all."""
    each = (f"- host: 'db', port: '{port}', hostaddr: '127.0.0.1': {words}" for port, words in enumerate(said, 1))
    return psycopg.OperationalError(
        "\n".join([said[-1], "Multiple connection attempts failed. All failures were:", *each])
    )


def test_what_several_hosts_said_is_one_line_with_each_of_them_once() -> None:
    assert reason(of_hosts(READ_ONLY, REFUSED, REFUSED)) == (
        'connection to server at "127.0.0.1", port 2 failed: session is read-only; '
        'connection to server at "127.0.0.1", port 1 failed: Connection refused '
        "Is the server running on that host and accepting TCP/IP connections? "
        "(a standby answers, and a worker waits for the primary)"
    )


def test_each_host_is_heard() -> None:
    assert each_host(of_hosts(READ_ONLY, REFUSED)) == [READ_ONLY, REFUSED]
    assert each_host(psycopg.OperationalError(REFUSED)) == [REFUSED]


def test_libpqs_guess_at_what_ended_a_connection_is_left_out() -> None:
    said = (
        "consuming input failed: server closed the connection unexpectedly\n\t"
        "This probably means the server terminated abnormally\n\tbefore or while processing the request."
    )
    assert reason(psycopg.OperationalError(said)) == "consuming input failed: server closed the connection unexpectedly"


def test_a_loss_is_of_one_of_three_kinds() -> None:
    assert kind(of_hosts(REFUSED, REFUSED)) is Kind.UNREACHABLE
    assert kind(of_hosts(READ_ONLY, REFUSED)) is Kind.STANDBY
    assert kind(errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction")) is Kind.STANDBY
    assert kind(AddressRefused("the database refuses us")) is Kind.REFUSES
