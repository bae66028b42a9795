"""What the lanes know together: an outage is told once, only a lost server costs the other lane its connection, and who
was let in before is not sent away by the first refusal."""

import psycopg
from psycopg import errors

from reproq.errors import AddressRefused
from reproq.store.lane import REFUSED_FOR_SECONDS, Contact

BROKEN = psycopg.OperationalError("server closed the connection unexpectedly")
DEADLOCK = errors.DeadlockDetected("deadlock detected")
REFUSED = AddressRefused("the database refuses us: password authentication failed")


STANDBY = psycopg.OperationalError("connection failed: session is read-only")
DEMOTED = errors.ReadOnlySqlTransaction("cannot execute UPDATE in a read-only transaction")
STARTING = psycopg.OperationalError("the database system is starting up")


def alone() -> str:
    """Of an address with one host, none is named."""
    return ""


def contact() -> tuple[Contact, list[str]]:
    told: list[str] = []
    return Contact("host=db", told.append), told


def test_an_outage_that_both_lanes_meet_is_told_once() -> None:
    known, told = contact()
    known.lost("first", BROKEN, 0)
    known.lost("second", BROKEN, 0)
    known.back("first", alone)
    known.back("second", alone)
    assert [text.split(":")[0] for text in told] == ["database lost, retrying until it is back", "database back"]
    assert known.losses == 1


def test_what_one_lane_notices_when_the_other_is_back_is_not_told_again() -> None:
    known, told = contact()
    known.lost("first", BROKEN, known.changes)
    hung_since = 0
    known.back("first", alone)
    known.lost("second", BROKEN, hung_since)
    known.back("second", alone)
    assert len(told) == 2
    assert known.losses == 1, "the first lane's new connection is a good one"


def test_the_next_outage_is_told_again() -> None:
    known, told = contact()
    for _ in range(2):
        known.lost("first", BROKEN, known.changes)
        known.back("first", alone)
    assert len(told) == 4
    assert known.losses == 2


def test_a_deadlock_is_no_loss_of_the_server() -> None:
    known, told = contact()
    known.lost("first", DEADLOCK, 0)
    known.back("first", alone)
    assert known.losses == 0
    assert told[0] == "database refuses, retrying until it does not: host=db: deadlock detected"


def test_a_loss_behind_a_deadlock_of_the_other_lane_counts() -> None:
    known, _ = contact()
    known.lost("first", DEADLOCK, 0)
    known.lost("second", BROKEN, 0)
    assert known.losses == 1


def test_a_refusal_is_waited_out_for_a_while_by_who_was_let_in_before() -> None:
    known, told = contact()
    assert not known.waits_out(REFUSED, 0.0), "an address that never worked is wrong"
    known.back("first", alone)
    assert known.waits_out(REFUSED, 10.0)
    known.lost("first", REFUSED, known.changes)
    assert "password authentication failed" in told[0]
    assert known.waits_out(REFUSED, 10.0 + REFUSED_FOR_SECONDS)
    assert not known.waits_out(REFUSED, 10.1 + REFUSED_FOR_SECONDS)
    known.back("first", alone)
    assert known.waits_out(REFUSED, 1000.0), "it is counted from the first refusal in a row"
    known.lost("first", BROKEN, known.changes)
    assert known.waits_out(REFUSED, 2000.0), "it was away in between, so that this may be another server"


def test_no_other_error_is_waited_out() -> None:
    known, _ = contact()
    known.back("first", alone)
    assert not known.waits_out(ZeroDivisionError(), 0.0)


def beginnings(told: list[str]) -> list[str]:
    return [text.split(":")[0] for text in told]


def test_an_outage_that_changes_its_kind_is_told_again_and_other_words_of_the_same_kind_are_not() -> None:
    known, told = contact()
    known.back("first", alone)
    for error in (BROKEN, STARTING, REFUSED, REFUSED, STANDBY, STANDBY, DEMOTED):
        known.lost("first", error, known.changes)
        known.lost("second", error, known.changes)
    known.back("first", alone)
    known.back("second", alone)
    assert beginnings(told) == [
        "database lost, retrying until it is back",
        "database still lost, it refuses us, retrying for 300 s",
        "database still lost, retrying until it is back",
        "database back",
    ]
    assert "password authentication failed" in told[1]
    assert "a standby answers, and a worker waits for the primary" in told[2]
    assert known.losses == 1


def test_what_a_lane_asked_before_the_newest_change_is_no_news() -> None:
    known, told = contact()
    known.lost("first", BROKEN, known.changes)
    hung_since = known.changes
    known.lost("first", STANDBY, known.changes)
    known.lost("second", BROKEN, hung_since)
    assert len(told) == 2


def test_a_loss_behind_a_deadlock_is_told_as_one() -> None:
    known, told = contact()
    known.lost("first", DEADLOCK, known.changes)
    known.lost("second", BROKEN, known.changes)
    assert beginnings(told) == [
        "database refuses, retrying until it does not",
        "database lost, retrying until it is back",
    ]


def test_the_next_outage_begins_with_a_loss_of_whatever_kind() -> None:
    known, told = contact()
    for error in (BROKEN, STANDBY):
        known.lost("first", error, known.changes)
        known.back("first", alone)
    assert beginnings(told) == ["database lost, retrying until it is back", "database back"] * 2


def test_the_host_that_answers_is_named() -> None:
    known, told = contact()
    known.lost("first", BROKEN, known.changes)
    known.back("first", lambda: "host db2, port 5433")
    assert told[1] == "database back: host=db; host db2, port 5433, answers"
