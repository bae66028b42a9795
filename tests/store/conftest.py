"""Fixtures for tests of what happens between a client and its server."""

from collections.abc import Iterator

import pytest

from tests.store.proxy import Proxy


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    """A port that leads to this test's database, until the test says what becomes of what is sent."""
    proxy = Proxy(dsn)
    proxy.listen()
    yield proxy
    proxy.close()
