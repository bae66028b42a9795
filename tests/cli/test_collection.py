"""How often a worker's process looks for cycles."""

import gc
from collections.abc import Iterator

import pytest

from reproq.cli.worker import COLLECT_AFTER, collect_seldom


@pytest.fixture
def collections() -> Iterator[list[str]]:
    """The collections that begin and end; what was set before is set again afterwards."""
    before, seen = gc.get_threshold(), []

    def note(phase: str, _: dict[str, int]) -> None:
        seen.append(phase)

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.unfreeze()
    gc.set_threshold(*before)


def test_a_worker_looks_for_cycles_after_thousands_of_runs_and_not_in_what_it_imported(collections: list[str]) -> None:
    collect_seldom()
    assert gc.get_freeze_count() > 10_000
    gc.collect(0)
    collections.clear()
    kept = [[number] for number in range(COLLECT_AFTER // 2)]
    assert collections == []
    kept += [[number] for number in range(2 * COLLECT_AFTER)]
    assert "stop" in collections
