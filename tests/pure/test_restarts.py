"""When what has died is started again."""

import math

from reproq.executors.restarts import HEALTHY_SECONDS, MAX_RESTART_SECONDS, RESTART_SECONDS, Restarts


def test_what_dies_at_once_again_is_started_later_each_time_and_within_a_bound() -> None:
    restarts, waits = Restarts(), []
    for moment in range(8):
        waits.append(restarts.died(float(moment)))
        assert restarts.due_at == moment + waits[-1]
        restarts.begun()
        assert restarts.due_at == math.inf
    assert waits == [min(RESTART_SECONDS * 2**times, MAX_RESTART_SECONDS) for times in range(8)]


def test_what_has_lived_for_long_is_started_again_as_if_it_were_the_first() -> None:
    restarts = Restarts()
    for lived_seconds in (0.0, 0.0, HEALTHY_SECONDS):
        restarts.begun()
        wait = restarts.died(0.0, lived_seconds)
    assert wait == RESTART_SECONDS


def test_several_that_die_together_are_one_death() -> None:
    restarts = Restarts()
    assert [restarts.died(0.0), restarts.died(0.25), restarts.died(2.0)] == [1.0, 0.75, 0.0]
    restarts.begun()
    assert restarts.died(3.0) == 2 * RESTART_SECONDS
