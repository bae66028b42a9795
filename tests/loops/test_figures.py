"""What the loop measures, and what it keeps for that meanwhile."""

from reproq.executors import Ended
from reproq.lifecycle import Claim, Success
from reproq.store.claims import Claimed
from reproq.store.requests import ClaimAnswer
from reproq.telemetry.events import Measure, Telemetry
from reproq.wire import Payload
from reproq.worker.figures import Figures


def claimed(run_id: int) -> Claimed:
    payload = Payload(*[None] * len(Payload._fields))  # of what a run is, nothing is measured
    return Claimed(Claim(run_id, 7, 1, 0, 0, 3, "0" * 64), payload, waited_seconds=0.5)


def test_a_claimed_run_that_was_not_submitted_is_not_waited_for() -> None:
    measured: list[tuple[Measure, list[float]]] = []
    figures = Figures(Telemetry(meters=(lambda measure, seconds: measured.append((measure, seconds)),)))
    figures.claimed(ClaimAnswer([claimed(1), claimed(2)], 0, None, began_s=100.0, took_seconds=0.25), {(1, 7)})
    figures.ended([Ended((run_id, 7), Success("null"), started_s=101.0, ended_s=103.0) for run_id in (1, 2)])
    assert measured == [(Measure.CLAIM, [0.25]), (Measure.QUEUE_WAIT, [1.5]), (Measure.EXECUTION, [2.0])]
