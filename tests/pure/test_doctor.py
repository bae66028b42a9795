"""What the doctor makes of a server's own words."""

import time

import pytest

from reproq.cli.doctor import judge, lease_kept
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


def test_a_clock_that_is_right_is_not_said_to_be_off_by_less_than_nothing() -> None:
    found = {one.name: one for one in judge(facts(epoch_seconds=time.time() - 0.02), Config())}
    assert found["clock"].detail == "the server is +0.0 s off this host"


def test_a_lease_that_one_lost_connection_may_cost_is_advised_against_and_no_fault() -> None:
    found = lease_kept(Config(dsn="host=db1,db2 dbname=shop"))
    assert (found.ok, found.is_advice) == (True, True)
    assert "connect_timeout 5 s x 2 hosts" in found.detail
    assert "= 33 s, lease 30 s" in found.detail
    assert "one lost connection may cost the leases of running runs; raise lease over 33s, or lower" in found.remedy
    assert not lease_kept(Config(dsn="host=db1,db2 dbname=shop connect_timeout=3")).is_advice
