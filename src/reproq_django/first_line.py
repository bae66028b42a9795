"""The task of `reproq bench latency`: when its first line ran, by the clock that a machine's processes share."""

import time

from reproq_django.task_class import unvalidated


@unvalidated
def first_line() -> float:
    """CLOCK_MONOTONIC."""
    return time.monotonic()
