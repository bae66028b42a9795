"""What becomes of claims that a crash of the server has forgotten. `make chaos ARGS="--stops 50"` makes 50 crashes."""

import pytest

from tests.acceptance.chaos.forgotten import repeat


@pytest.mark.slow
@pytest.mark.waits
@pytest.mark.direct
def test_after_a_crash_between_claim_and_end_no_late_result_ends_a_newer_claim() -> None:
    stops = repeat(3)
    assert (stops.late, stops.faults) == ([], [])
    assert stops.forgotten >= 1, "nothing was forgotten, so that nothing could be late"
    assert stops.discarded + stops.leases_lost >= 1
