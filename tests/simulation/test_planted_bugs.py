"""The simulation finds what others shipped: each of these bugs, planted, breaks a promise within 300 seeds."""

import pytest

from reproq.loadtest.simulation.run import Played, shrunk, simulate, told
from reproq.loadtest.simulation.session import Sessions
from tests.simulation import plants
from tests.simulation.plants import Plant

SEEDS = range(300)


def _first_violation(sessions: Sessions) -> Played | None:
    return next((played for played in simulate(SEEDS, sessions) if played.violation is not None), None)


@pytest.mark.parametrize(
    "plant",
    [
        plants.fence_by_worker_id,
        plants.fence_by_attempt,
        plants.put_back_after_a_failed_call,
        plants.rescue_without_locking,
        plants.count_at_the_end,
        plants.end_without_waiting_for_the_disk,
        plants.time_from_the_workers_clock,
    ],
)
def test_a_planted_bug_is_found(plant: Plant, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    found = _first_violation(sessions)
    assert found is not None


def test_what_is_found_is_shrunk_to_the_few_events_that_it_needs(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    plants.put_back_after_a_failed_call(monkeypatch)
    found = _first_violation(sessions)
    assert found is not None
    assert found.violation is not None
    small = shrunk(found, sessions)
    assert small.violation is not None
    assert small.violation.rule == found.violation.rule
    assert len(small.history.events) <= 10
    assert "violation: " in told(small)[-1]
    assert len(told(small)) == len(small.history.events) + 2
