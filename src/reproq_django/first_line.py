"""The task of `reproq bench latency`: when its first line ran, by the clock that a machine's processes share."""

import time

from django.tasks import task


@task
def first_line() -> float:
    """CLOCK_MONOTONIC."""
    return time.monotonic()
