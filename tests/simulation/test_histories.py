"""Nothing is lost and nothing finishes twice, in thousands of histories of crashes, outages and races."""

from dataclasses import replace

import pytest

from reproq.loadtest.simulation.history import draw
from reproq.loadtest.simulation.run import STEPS, play, shrunk, simulate, told
from reproq.loadtest.simulation.session import Sessions

QUICK = range(2000, 2060)
CHUNK = 125
GOLDEN = {
    1: "4e825ad6d109a1eb",
    2: "7883cd4ee6b3f965",
    3: "b0365ef682668963",
    5: "692cc239d06bf5c8",
    8: "ff9ee519edf07d4e",
    13: "5484eda3677aa6b6",
}
"""The beginnings of the digests of some histories: most of these have hostile settings of the planner."""


def _explained(seeds: range, sessions: Sessions) -> str:
    """The first violation, shrunk, with its seed; empty when there is none."""
    for played in simulate(seeds, sessions):
        if played.violation is not None:
            return "\n".join(told(shrunk(played, sessions)))
    return ""


def test_every_promise_holds_in_a_few_histories(sessions: Sessions) -> None:
    violation = _explained(QUICK, sessions)
    assert not violation, violation


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 2000, CHUNK))
def test_every_promise_holds_in_two_thousand_histories(first: int, sessions: Sessions) -> None:
    violation = _explained(range(first, first + CHUNK), sessions)
    assert not violation, violation


@pytest.mark.parametrize("seed", GOLDEN)
def test_a_seed_gives_the_same_history_on_every_server(seed: int, sessions: Sessions) -> None:
    """Who changes what a worker decides changes digests: print the new ones by `reproq simulate --show --seed …`."""
    played = play(draw(seed, STEPS), sessions)
    assert (played.violation, played.digest[:16]) == (None, GOLDEN[seed])


def test_a_history_played_again_is_the_same(sessions: Sessions) -> None:
    history = draw(7, STEPS)
    first, other, again = (play(one, sessions) for one in (history, draw(8, STEPS), history))
    assert first.digest == again.digest
    assert first.digest != other.digest


def test_the_settings_of_the_planner_change_no_history(sessions: Sessions) -> None:
    history = draw(7, STEPS)
    digests = {
        play(replace(history, settings=settings), sessions).digest
        for settings in (
            (),
            (("plan_cache_mode", "force_generic_plan"),),
            (("enable_seqscan", "off"), ("enable_sort", "off"), ("plan_cache_mode", "force_custom_plan")),
            (("enable_indexscan", "off"), ("enable_bitmapscan", "off"), ("enable_nestloop", "off")),
        )
    }
    assert len(digests) == 1
