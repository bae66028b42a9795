"""What the doctor makes of a server's own words."""

import time

import pytest

from reproq.cli.doctor import judge
from reproq.config import Config
from reproq.store.server import ServerFacts


def facts(**said: object) -> ServerFacts:
    usual = {
        "version_number": 180_000,
        "version": "18.0",
        "encoding": "UTF8",
        "epoch_seconds": time.time(),
        "connections_allowed": 100,
        "connections_used": 0,
        "is_durable": True,
        "is_standby": False,
    }
    return ServerFacts(**(usual | said))  # type: ignore[arg-type]


@pytest.mark.parametrize(("listen", "needed"), [("auto", 7), ("off", 6)])
def test_a_worker_needs_two_connections_for_its_work_one_to_listen_and_one_a_run(listen: str, needed: int) -> None:
    config = Config(listen=listen, concurrency=4)
    for free, ok in ((needed, True), (needed - 1, False)):
        found = {finding.name: finding for finding in judge(facts(connections_allowed=free), config)}
        assert found["connections"].ok is ok
        assert f"may use {needed}" in found["connections"].detail
