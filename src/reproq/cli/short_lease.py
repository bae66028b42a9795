"""Says where one lost connection may cost leases: what is configured, and how the address is connected to."""

import os

from reproq.config import Config
from reproq.margin import Margin, margin_of
from reproq.store.db import connect_bounds
from reproq.telemetry.events import Telemetry


def margin_here(config: Config) -> Margin:
    """The margin of a worker of this configuration. Raises AddressRefused for an address that cannot be parsed."""
    return margin_of(config, *connect_bounds(config.dsn, os.environ))


def warn_of_a_short_lease(config: Config, telemetry: Telemetry) -> None:
    """One line where the lease is short. It is somebody's choice, and so no refusal."""
    margin = margin_here(config)
    if not margin.is_short:
        return
    telemetry.emit(
        "worker.lease_short",
        heartbeat_seconds=margin.heartbeat,
        database_timeout_seconds=margin.answer,
        connect_timeout_seconds=margin.connect_timeout,
        hosts=margin.hosts,
        kill_grace_seconds=margin.kill_grace,
        sum_seconds=margin.sum,
        lease_seconds=margin.lease,
        next=margin.remedy,
    )
