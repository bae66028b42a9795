"""Tests marked `alone` run while no other test of this session does: what they do to the machine would fail others.

Every test passes a gate and enters a room that others may be in; one that wants to be alone holds the gate shut until
the room is empty. So it never waits for longer than the tests that are under way.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.plugins.databases import FOLDER_VARIABLE


@contextmanager
def _held(name: str, how: int) -> Iterator[None]:
    with (Path(os.environ[FOLDER_VARIABLE]) / name).open("w") as lock:
        fcntl.flock(lock, how)
        yield


@pytest.fixture(autouse=True)
def _company(request: pytest.FixtureRequest) -> Iterator[None]:
    how = fcntl.LOCK_EX if request.node.get_closest_marker("alone") else fcntl.LOCK_SH
    with ExitStack() as room:
        with _held("gate", fcntl.LOCK_EX):
            room.enter_context(_held("room", how))
        yield
