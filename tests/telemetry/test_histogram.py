"""The histogram against the sorted values themselves."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproq.telemetry.histogram import GREATEST_SECONDS, LEAST_SECONDS, Histogram

durations = st.floats(LEAST_SECONDS, GREATEST_SECONDS)


def histogram_of(values: list[float]) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


@given(st.lists(durations, min_size=1, max_size=300), st.integers(1, 100))
def test_a_percentile_is_at_most_a_bucket_above_the_true_one(values: list[float], percent: int) -> None:
    true = sorted(values)[max(1, math.ceil(len(values) * percent / 100)) - 1]
    found = histogram_of(values).percentile(percent)
    assert found is not None
    assert true <= found <= true * (1 + 1 / 32)


@given(st.lists(st.lists(durations, max_size=20), max_size=20))
def test_batches_count_as_their_values_do(batches: list[list[float]]) -> None:
    values = [value for batch in batches for value in batch]
    in_batches, at_once = Histogram(), histogram_of(values)
    for batch in batches:
        in_batches.add(batch)
    assert in_batches.count == len(values)
    assert list(in_batches.bars()) == list(at_once.bars())
    assert sum(count for _, count in in_batches.bars()) == len(values)
    assert in_batches.percentile(100) == (max(values) if values else None)


@pytest.mark.parametrize("value", [0.0, 1e-12, 1e12])
def test_what_lies_outside_is_counted_at_the_edge_and_the_extremes_stay_exact(value: float) -> None:
    histogram = histogram_of([value])
    assert (histogram.count, histogram.percentile(50), histogram.max_seconds) == (1, value, value)


def test_memory_is_bounded_by_the_buckets_and_not_by_the_values() -> None:
    histogram = Histogram()
    for exponent in range(-400, 400):
        histogram.add([math.ldexp(1.0 + part / 97, exponent) for part in range(97)])
    assert histogram.count == 97 * 800
    assert len(histogram._buckets) <= 1500


def test_a_bar_counts_the_values_of_its_octave() -> None:
    assert list(histogram_of([0.3, 0.4, 1.5, 1.5]).bars()) == [(0.5, 2), (1.0, 0), (2.0, 2)]
