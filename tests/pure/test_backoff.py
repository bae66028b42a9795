"""Retry delays: the steps, their bounds, and jitter that is the same for the same spec and failure."""

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproq.backoff import DEFAULT_STEPS, MAX_STEPS, exponential, retry_delay

hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
MIDDLE = "7fffffff" * 8
"""A hash whose jitter is none, to nine digits."""


def test_the_default_doubles_from_five_seconds_to_an_hour() -> None:
    assert DEFAULT_STEPS[:4] == (5, 10, 20, 40)
    assert DEFAULT_STEPS[-1] == 3600
    assert DEFAULT_STEPS[-2] < 3600


@given(st.floats(0, 1e5), st.floats(0, 1e6))
def test_steps_are_few_rise_and_stay_within_the_bound(base: float, bound: float) -> None:
    steps = exponential(base, bound)
    assert 1 <= len(steps) <= MAX_STEPS
    assert list(steps) == sorted(steps)
    assert steps[-1] <= bound


def test_a_base_of_zero_is_one_step_of_no_wait() -> None:
    assert exponential(0.0) == (0.0,)


@pytest.mark.parametrize(("failures", "wait"), [(1, 1), (2, 10), (3, 100), (4, 100), (1000, 100)])
def test_the_last_step_repeats(failures: int, wait: float) -> None:
    assert retry_delay((1, 10, 100), failures, MIDDLE) == pytest.approx(wait)


@pytest.mark.parametrize("steps", [None, ()])
def test_no_steps_of_its_own_means_the_default(steps: tuple[float, ...] | None) -> None:
    assert retry_delay(steps, 3, MIDDLE) == pytest.approx(20)


@given(hashes, st.integers(1, 10_000))
def test_jitter_stays_within_a_fifth(spec_hash: str, failures: int) -> None:
    assert 80 * (1 - 1e-9) <= retry_delay((100.0,), failures, spec_hash) <= 120 * (1 + 1e-9)


@given(hashes, st.integers(1, 10_000))
def test_the_same_spec_and_failure_wait_the_same(spec_hash: str, failures: int) -> None:
    assert retry_delay(None, failures, spec_hash) == retry_delay(None, failures, spec_hash)


def test_jitter_spreads_specs_that_fail_together() -> None:
    hashed = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(1000)]
    waits = sorted(retry_delay((100.0,), 1, spec_hash) for spec_hash in hashed)
    assert len(set(waits)) == 1000
    assert max(later - earlier for earlier, later in pairwise(waits)) < 1


def test_each_of_eight_failures_in_a_row_takes_jitter_of_its_own() -> None:
    spec_hash = hashlib.sha256(b"spec").hexdigest()
    assert len({retry_delay((100.0,), failures, spec_hash) for failures in range(1, 9)}) == 8
