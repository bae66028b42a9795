"""Contact with the database, as a worker counts it: by the clock, and with one and the same server."""

from datetime import UTC, datetime, timedelta

import pytest

from reproq.config import Config
from reproq.store.requests import RenewAnswer, RescueRuns
from reproq.store.workers import WorkerRow
from reproq.telemetry.events import Telemetry
from reproq.worker.ledger import Ledger
from reproq.worker.presence import Presence

ROW = WorkerRow(worker_id="w", hostname="h", pid=1, queues=("default",), executor="hand", concurrency=1, version="0")
FIRST = datetime(2030, 1, 1, tzinfo=UTC)
PROMOTED = FIRST - timedelta(days=9)  # a standby runs for long when it is promoted


@pytest.mark.parametrize(
    ("servers", "rescues"),
    [
        ([FIRST] * 4, [False, False, False, True]),
        ([FIRST, PROMOTED, PROMOTED, PROMOTED, PROMOTED], [False] * 4 + [True]),
        ([FIRST, FIRST, FIRST, PROMOTED], [False] * 4),
        ([FIRST, None, FIRST, FIRST], [False, False, False, True]),  # its row was gone for a moment
    ],
    ids=["one server", "another at once", "another at last", "none is told"],
)
def test_a_rescue_is_asked_only_after_a_lease_of_contact_with_one_server(
    servers: list[datetime | None], rescues: list[bool]
) -> None:
    presence, ledger = Presence(Config(lease=30.0, heartbeat=10.0), ROW, Telemetry([]), lambda: 0.5), Ledger(20)
    asked = []
    for number, server in enumerate(servers):
        now = 10.0 * number
        presence.on_registered("installation", now)
        list(presence.requests(now, ledger, draining=False))
        presence.on_renewed(RenewAnswer({}, server), now)
        asked.append(any(isinstance(one, RescueRuns) for one in presence.requests(now, ledger, draining=False)))
    assert asked == rescues
