"""Shrinking keeps what a failure needs, and only that."""

from reproq.loadtest.simulation.shrink import MAX_TRIES, shrink


def test_what_a_failure_does_not_need_is_dropped() -> None:
    assert shrink(range(100), lambda left: {3, 41, 97} <= set(left)) == (3, 41, 97)


def test_a_failure_that_needs_nothing_shrinks_to_nothing() -> None:
    assert shrink("abc", lambda left: True) == ()


def test_what_is_needed_in_its_order_stays_in_it() -> None:
    assert shrink("xaxbxax", lambda left: "".join(left).count("a") == 2 and "b" in left) == tuple("aba")


def test_shrinking_ends_after_a_bounded_number_of_tries() -> None:
    tries = []
    shrink(range(1000), lambda left: bool(tries.append(1)) or len(left) % 2 == 0)
    assert len(tries) <= MAX_TRIES
