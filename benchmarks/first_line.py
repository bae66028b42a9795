"""The task of latency.py: it says when its first line ran, on the clock that all processes of a machine share."""

import time

from django.tasks import task


@task
def first_line() -> float:
    """CLOCK_MONOTONIC."""
    return time.monotonic()
