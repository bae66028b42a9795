"""A scratch database for each module's histories."""

from collections.abc import Iterator

import pytest

from reproq.loadtest.simulation.run import scratch
from reproq.loadtest.simulation.session import Sessions


@pytest.fixture
def sessions(module_dsn: str) -> Iterator[Sessions]:
    with scratch(module_dsn) as sessions:
        yield sessions
