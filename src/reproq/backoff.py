"""How long a run waits before its next attempt. Pure: jitter comes from the spec hash, so a replay waits the same."""

from collections.abc import Sequence
from typing import Final

BASE_SECONDS: Final = 5.0
FACTOR: Final = 2.0
MAX_SECONDS: Final = 3600.0
JITTER: Final = 0.2
MAX_STEPS: Final = 100


def exponential(base_seconds: float = BASE_SECONDS, max_seconds: float = MAX_SECONDS) -> tuple[float, ...]:
    """The waits after failure 1, 2, … as `base · 2^(n-1)`; the last one repeats. At most `MAX_STEPS` of them."""
    steps = [min(base_seconds, max_seconds)]
    while 0 < steps[-1] < max_seconds and len(steps) < MAX_STEPS:
        steps.append(min(steps[-1] * FACTOR, max_seconds))
    return tuple(steps)


DEFAULT_STEPS: Final = exponential()


def retry_delay(steps: Sequence[float] | None, failures: int, spec_hash: str) -> float:
    """Seconds to wait after the `failures`-th counted failure, ±20 %, the same for the same spec and failure.

    `steps` are the waits after failure 1, 2, …; None takes the default. Eight hex digits of the spec hash, another
    slice for each failure, place the wait evenly within the jitter.
    """
    waits = steps if steps else DEFAULT_STEPS
    wait = waits[min(failures, len(waits)) - 1]
    start = (failures % 8) * 8
    fraction = int(spec_hash[start : start + 8], 16) / 0xFFFFFFFF
    return wait * (1 - JITTER + 2 * JITTER * fraction)
