"""A short round of chaos. `make chaos` plays longer ones, of other seeds."""

from pathlib import Path

import pytest

from tests.acceptance.chaos.round import play

SEED = 1
SECONDS = 12.0


@pytest.mark.slow
@pytest.mark.waits
@pytest.mark.direct
def test_a_round_of_random_faults_loses_nothing_and_finishes_nothing_twice(tmp_path: Path) -> None:
    said: list[str] = []
    outcome = play(SEED, SECONDS, said.append, tmp_path / "kept")
    assert not outcome.faults, "\n".join([*said, *outcome.faults])
    assert outcome.runs > 100
