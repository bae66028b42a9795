"""The schedule of a round follows from its seed alone, and has every fault in it."""

from collections import Counter

import pytest

from tests.acceptance.chaos.plan import IN_FIVE_MINUTES, LONG_SECONDS, STEADY, Blow, Minimum, counts, minimum, plan


def test_a_seed_is_a_schedule() -> None:
    assert plan(7, 60) == plan(7, 60)
    assert plan(7, 60) != plan(8, 60)


@pytest.mark.parametrize("seconds", [10, 60, LONG_SECONDS])
def test_every_fault_comes_in_its_number_within_the_time_and_in_order(seconds: float) -> None:
    for seed in range(20):
        events = plan(seed, seconds)
        assert Counter(event.blow for event in events) == counts(seconds)
        assert events == sorted(events)
        assert 0 < events[0].at_s <= events[-1].at_s < seconds


def test_five_minutes_hold_more_than_a_round_must_show() -> None:
    least = minimum(LONG_SECONDS)
    assert least == Minimum(rescues=20, lost_answers=5, restarts=3)
    assert IN_FIVE_MINUTES[Blow.KILL_WORKER] > least.rescues
    assert sum(IN_FIVE_MINUTES[blow] for blow in (Blow.LOSE_CLAIM, Blow.LOSE_FINALIZE, Blow.LOSE_ENQUEUE)) >= 20
    assert IN_FIVE_MINUTES[Blow.RESTART_FAST] + IN_FIVE_MINUTES[Blow.RESTART_IMMEDIATE] > least.restarts


def test_the_worker_whose_memory_is_watched_is_never_replaced() -> None:
    replacing = {Blow.KILL_WORKER, Blow.REPLACE_WORKER}
    assert STEADY not in {event.worker for seed in range(20) for event in plan(seed, 60) if event.blow in replacing}
