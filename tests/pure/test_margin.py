"""Whether a lease outlives one lost connection."""

import pytest

from reproq.config import Config
from reproq.margin import margin_of


@pytest.mark.parametrize(
    ("given", "connect_timeout", "hosts", "total", "is_short"),
    [
        ({}, 5, 1, 28, False),
        ({}, 5, 2, 33, True),
        ({}, 3, 2, 29, False),
        ({"kill_grace": 7.0}, 5, 1, 30, True),
        ({"lease": 2.0, "heartbeat": 0.5, "kill_grace": 0.5}, 5, 1, 7, True),
    ],
    ids=["the defaults", "two hosts", "two hosts tried for less", "as long as the lease", "an answer of half a lease"],
)
def test_the_sum_of_all_that_passes_before_the_next_renewal_must_be_less_than_the_lease(
    given: dict[str, float], connect_timeout: float, hosts: int, total: float, is_short: bool
) -> None:
    margin = margin_of(Config(**given), connect_timeout, hosts)
    assert (margin.sum, margin.is_short) == (total, is_short)


def test_each_part_is_named_with_its_value() -> None:
    assert str(margin_of(Config(), 5, 2)) == (
        "heartbeat 10 s + database_timeout 8 s + connect_timeout 5 s x 2 hosts + kill_grace 5 s = 33 s, lease 30 s"
    )


@pytest.mark.parametrize("lease", [2.0, 5.0, 9.0, 30.0])
def test_a_lease_longer_than_the_remedy_says_is_enough(lease: float) -> None:
    short = margin_of(Config(lease=lease, heartbeat=lease / 3), 5, 3)
    longer = margin_of(Config(lease=short.enough + 0.1, heartbeat=lease / 3), 5, 3)
    assert (short.is_short, longer.is_short) == (True, False)
    assert f"raise lease over {short.enough:g}s" in short.remedy
