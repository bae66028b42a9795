"""What the lanes know together: an outage is told once, only a lost server costs the other lane its connection, and who
was let in before is not sent away by the first refusal."""

import psycopg
from psycopg import errors

from reproq.errors import AddressRefused
from reproq.store.lane import REFUSED_FOR_SECONDS, Contact

BROKEN = psycopg.OperationalError("server closed the connection unexpectedly")
DEADLOCK = errors.DeadlockDetected("deadlock detected")
REFUSED = AddressRefused("the database refuses us: password authentication failed")


def contact() -> tuple[Contact, list[str]]:
    told: list[str] = []
    return Contact("host=db", told.append), told


def test_an_outage_that_both_lanes_meet_is_told_once() -> None:
    known, told = contact()
    known.lost("first", BROKEN, 0)
    known.lost("second", BROKEN, 0)
    known.back("first")
    known.back("second")
    assert [text.split(":")[0] for text in told] == ["database lost, retrying until it is back", "database back"]
    assert known.losses == 1


def test_what_one_lane_notices_when_the_other_is_back_is_not_told_again() -> None:
    known, told = contact()
    known.lost("first", BROKEN, known.returns)
    hung_since = 0
    known.back("first")
    known.lost("second", BROKEN, hung_since)
    known.back("second")
    assert len(told) == 2
    assert known.losses == 1, "the first lane's new connection is a good one"


def test_the_next_outage_is_told_again() -> None:
    known, told = contact()
    for _ in range(2):
        known.lost("first", BROKEN, known.returns)
        known.back("first")
    assert len(told) == 4
    assert known.losses == 2


def test_a_deadlock_is_no_loss_of_the_server() -> None:
    known, told = contact()
    known.lost("first", DEADLOCK, 0)
    known.back("first")
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
    known.back("first")
    assert known.waits_out(REFUSED, 10.0)
    known.lost("first", REFUSED, known.returns)
    assert "password authentication failed" in told[0]
    assert known.waits_out(REFUSED, 10.0 + REFUSED_FOR_SECONDS)
    assert not known.waits_out(REFUSED, 10.1 + REFUSED_FOR_SECONDS)
    known.back("first")
    assert known.waits_out(REFUSED, 1000.0), "it is counted from the first refusal in a row"
    known.lost("first", BROKEN, known.returns)
    assert known.waits_out(REFUSED, 2000.0), "it was away in between, so that this may be another server"


def test_no_other_error_is_waited_out() -> None:
    known, _ = contact()
    known.back("first")
    assert not known.waits_out(ZeroDivisionError(), 0.0)
