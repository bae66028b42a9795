"""Durations of any number of runs in bounded memory: counts in buckets whose width grows with the value.

An octave (from one power of two seconds to the next) is cut into 32 buckets of one width, so that a bucket is at most
1/32 of its value wide, and a percentile at most 3.2 % above the true one; count, sum, least and greatest are exact.
"""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

PER_OCTAVE: Final = 32
_PARTS: Final = 2 * PER_OCTAVE  # of a fraction's unit, of which an octave is the upper half
LEAST_SECONDS: Final = 1e-6
GREATEST_SECONDS: Final = 1e8
"""What lies outside is counted as these: 44 octaves, so at most 1,500 buckets."""


class Histogram:
    """Seconds, counted. Adding a batch costs less than a microsecond a value."""

    def __init__(self) -> None:
        self.count = 0
        self.sum_seconds = 0.0
        self.min_seconds = math.inf
        self.max_seconds = 0.0
        self._buckets: Counter[int] = Counter()

    def add(self, values: list[float]) -> None:
        """Count a batch of durations."""
        if not values:
            return
        least, greatest = min(values), max(values)
        self.count += len(values)
        self.sum_seconds += sum(values)
        self.min_seconds = min(self.min_seconds, least)
        self.max_seconds = max(self.max_seconds, greatest)
        if least < LEAST_SECONDS or greatest > GREATEST_SECONDS:
            values = [min(max(value, LEAST_SECONDS), GREATEST_SECONDS) for value in values]
        # frexp: a value is fraction * 2**octave, with a fraction from 0.5 up to 1
        parts = map(math.frexp, values)
        self._buckets.update([octave * PER_OCTAVE + int((fraction - 0.5) * _PARTS) for fraction, octave in parts])

    def percentile(self, percent: float) -> float | None:
        """The least bound that this share of the values does not exceed, None when there is no value."""
        if not self.count:
            return None
        rank = max(1, math.ceil(self.count * percent / 100))
        indices = sorted(self._buckets)
        for index, below in zip(indices, accumulate(self._buckets[index] for index in indices), strict=True):
            if below >= rank:
                return max(self.min_seconds, min(_upper(index), self.max_seconds))
        return self.max_seconds

    def bars(self) -> Iterator[tuple[float, int]]:
        """Per octave, from the first to the last that holds a value: its upper bound in seconds, and its count."""
        octaves = Counter[int]()
        for index, count in self._buckets.items():
            octaves[index // PER_OCTAVE] += count
        for octave in range(min(octaves, default=0), max(octaves, default=-1) + 1):
            yield math.ldexp(1.0, octave), octaves[octave]


def _upper(index: int) -> float:
    octave, part = divmod(index, PER_OCTAVE)
    return math.ldexp(0.5 + (part + 1) / _PARTS, octave)
