"""Which tests begin first, and how many at a time: the suite is to take as long as its work, not its waits."""

import os

import pytest


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are processors, since some tests mostly wait."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that want the machine for themselves begin while nothing else is under way that they would have to await;
    then come those that wait for the clock, beside which there is time for all others."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("alone"):
        return 0
    return 1 if item.get_closest_marker("waits") else 2
