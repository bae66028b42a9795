"""What `reproq status` says of a worker or a beat, by who else is there."""

import dataclasses
from datetime import UTC, datetime

import pytest

from reproq.cli.status import line_of, others_of
from reproq.config import Config
from reproq.store.insight import WorkerLine

STARTED = datetime(2026, 11, 29, 12, tzinfo=UTC)
ALIVE = WorkerLine("w-1", "host", 7, ["default"], "fork", 2, "1", STARTED, False, "worker", False, 2.0)
LOST = dataclasses.replace(ALIVE, worker_id="w-2", unseen_seconds=1600.0)
BEAT = dataclasses.replace(ALIVE, worker_id="b-1", role="beat", queues=[], concurrency=0, beats=True)
LOST_BEAT = dataclasses.replace(BEAT, worker_id="b-2", unseen_seconds=1600.0)


def test_a_lost_worker_is_said_to_be_rescued_only_where_somebody_is_there_to_do_it() -> None:
    assert line_of(LOST, Config(), [ALIVE]).endswith("lost; other workers rescue what it held; last seen 27 min ago")
    for others in ([], [BEAT]):
        said = line_of(LOST, Config(), others)
        assert said.endswith("lost; what it held waits for a worker; last seen 27 min ago")


@pytest.mark.parametrize(
    ("others", "pg_cron", "said"),
    [
        ([], False, "lost; nobody else fires schedules"),
        ([ALIVE], False, "lost; nobody else fires schedules"),
        ([BEAT], False, "lost; others fire schedules"),
        ([], True, "lost; others fire schedules"),
    ],
)
def test_a_lost_beat_is_said_to_be_replaced_only_where_it_is(
    others: list[WorkerLine], pg_cron: bool, said: str
) -> None:
    assert line_of(LOST_BEAT, Config(), others, pg_cron=pg_cron) == f"beat       b-2  {said}; last seen 27 min ago"


def test_nobody_is_another_than_itself() -> None:
    assert others_of(ALIVE, [ALIVE, BEAT]) == [BEAT]
    assert line_of(ALIVE, Config(), []).endswith("fork x 2  queues default  working; last seen 2 s ago")
