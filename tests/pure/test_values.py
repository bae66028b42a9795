"""How durations and bounds are said to people; how values are read is in test_config.py."""

import pytest

from reproq.values import lasting, outside


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-0.2, "0 s"),
        (0.4, "0 s"),
        (90, "90 s"),
        (119.9, "120 s"),
        (120, "2 min"),
        (1600, "27 min"),
        (3600, "60 min"),
        (5 * 3600, "5 h"),
        (2 * 86_400, "2 days"),
        (1e9, "11574 days"),
    ],
)
def test_how_long_something_lasts_is_said_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert lasting(seconds) == said


@pytest.mark.parametrize(
    ("low", "high", "unit", "said"),
    [
        (0.001, 2_592_000.0, "s", "is outside 0.001 to 2592000 s"),
        (0, 1 << 50, "bytes", "is outside 0 to 1125899906842624 bytes"),
        (1, 1000, "", "is outside 1 to 1000"),
    ],
)
def test_bounds_are_told_in_digits(low: float, high: float, unit: str, said: str) -> None:
    assert outside(low, high, unit) == said
