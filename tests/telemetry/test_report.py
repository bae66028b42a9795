"""What the report says, with a clock of the test's own."""

import pytest

from reproq.telemetry.events import Measure, Telemetry
from reproq.telemetry.report import Report, duration_text


class Stepped:
    """A report that has heard of ten seconds' work."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.report = Report(lambda: self.now_s)
        telemetry = Telemetry((self.report.on_event,), (self.report.on_measure,))
        telemetry.emit("worker.started", worker="w-7")
        telemetry.measure(Measure.CLAIM, [0.5])
        telemetry.emit("run.claimed", id=1)
        telemetry.measure(Measure.QUEUE_WAIT, [0.001] * 97 + [4.0, 4.0, 4.0])
        telemetry.measure(Measure.EXECUTION, [0.05] * 100)
        self.now_s = 109.5
        for _ in range(99):
            telemetry.emit("run.succeeded", id=1)
        telemetry.emit("run.retried", id=1)
        self.now_s = 500.0


def test_the_facts_hold_ends_rate_and_percentiles() -> None:
    facts = Stepped().report.facts()
    assert (facts["worker"], facts["ends"]) == ("w-7", {"succeeded": 99, "retried": 1})
    assert (facts["seconds"], facts["ends_per_second"]) == (10.0, 10.0)
    wait = facts["queue_wait"]
    assert (wait["count"], wait["p99"], wait["max"]) == (100, 4.0, 4.0)
    assert wait["p50"] == wait["p95"] == pytest.approx(0.001, rel=1 / 32)
    assert facts["claim"]["count"] == 1
    assert sum(count for _, count in facts["execution"]["histogram"]) == 100


def test_every_event_that_ends_an_attempt_is_counted() -> None:
    report = Report()
    telemetry = Telemetry((report.on_event,))
    for name in ("succeeded", "failed", "retried", "released", "cancelled", "return_refused", "outcome_discarded"):
        telemetry.emit(f"run.{name}", id=1)
    assert sum(report.facts()["ends"].values()) == 7


def test_the_lines_are_for_people() -> None:
    lines = list(Stepped().report.lines())
    assert lines[0] == "Report of w-7: 99 succeeded, 1 retried in 10.0 s, 10 a second"
    assert lines[1].split() == ["count", "p50", "p95", "p99", "max"]
    assert lines[4].split() == ["execution", "100", *["50", "ms"] * 4]
    bars = [line for line in lines if "█" in line]
    assert len(bars) == 3, "two octaves of waits, one of executions"
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 80


def test_a_worker_that_did_nothing_has_a_report_too() -> None:
    report = Report()
    assert next(report.lines()) == "Report of a worker that never registered: no run ended"
    assert report.facts()["claim"] == {
        "count": 0, "p50": None, "p95": None, "p99": None, "max": None, "mean": None, "histogram": [],
    }  # fmt: skip


def test_nobody_gathers_figures_when_nobody_listens() -> None:
    assert not Telemetry((Report().on_event,)).measures


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.0, "0 µs"), (0.00085, "850 µs"), (0.01234, "12.3 ms"), (4.2, "4.2 s"), (5000.0, "5,000 s")],
)
def test_durations_have_three_figures_and_a_unit(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text
