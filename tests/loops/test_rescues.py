"""What a worker tells of runs that others have lost and that no rescue may end."""

import pytest

from reproq.telemetry.events import Event
from reproq.worker import presence
from reproq.worker.loop import Worker
from tests.loops.conftest import Bench

LEASE_SECONDS = 30.0


def lose(bench: Bench, *numbers: int) -> list[int]:
    """Runs of a worker that is heard of no more."""
    lost, *_ = bench.worker("lost")
    made = bench.enqueue(*numbers)
    bench.steps(lost)
    return made


def bring_contact(bench: Bench, rescuer: Worker) -> None:
    """Steps through a lease and more, after which the rescuer has tried."""
    for _ in range(8):
        bench.clock.advance(LEASE_SECONDS / 4)
        bench.steps(rescuer)


def look_again(bench: Bench, rescuer: Worker, times: int = 3) -> None:
    for _ in range(times):
        bench.clock.advance(presence.HELD_SECONDS + presence.SPREAD_SECONDS)
        bench.steps(rescuer)


def refuse(bench: Bench, condition: str) -> None:
    """A project's own rule, of which no rescue knows."""
    bench.pg.execute(f"ALTER TABLE task_runs ADD CONSTRAINT of_the_project CHECK ({condition})")


def told(events: list[Event]) -> list[tuple[str, int]]:
    names = ("run.rescue_refused", "run.rescued")
    return [(event.name, event.fields["id"]) for event in events if event.name in names]


def test_a_run_that_no_rescue_may_end_is_told_once_by_each_worker(bench: Bench) -> None:
    run_id, other = lose(bench, 1, 2)
    refuse(bench, f"id <> {run_id} OR status = 'RUNNING'")
    for name in ("one", "another"):
        rescuer, _, events = bench.worker(name, queues=("elsewhere",))
        bring_contact(bench, rescuer)
        look_again(bench, rescuer)
        assert [pair for pair in told(events) if pair[1] == run_id] == [("run.rescue_refused", run_id)]
    assert bench.statuses()["RUNNING"] == 1
    (refused,) = [event.fields for event in events if event.name == "run.rescue_refused"]
    assert refused["task"] == "x.y"
    assert "of_the_project" in str(refused["reason"])
    assert refused["next"] == "it stays RUNNING, and every worker tries again, silently"
    assert other not in [pair[1] for pair in told(events)], "the first worker has rescued it"


def test_a_run_whose_rescue_is_stored_by_its_replacement_is_told_as_refused_and_as_rescued(bench: Bench) -> None:
    (run_id,) = lose(bench, 1)
    refuse(bench, "status <> 'SCHEDULED'")
    rescuer, _, events = bench.worker("rescuer", queues=("elsewhere",))
    bring_contact(bench, rescuer)
    assert told(events) == [("run.rescue_refused", run_id), ("run.rescued", run_id)]
    refused, rescued = [event.fields for event in events if event.name in ("run.rescue_refused", "run.rescued")]
    assert refused["next"] == "it is stored as failed"
    assert (rescued["becomes"], rescued["retry_in_seconds"]) == ("FAILED", 0.0)
    assert bench.statuses() == {"FAILED": 1}


def test_of_more_refused_runs_than_are_remembered_the_oldest_are_forgotten(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "MAX_TOLD", 2)
    made = lose(bench, 1, 2, 3)
    refuse(bench, "status = 'RUNNING'")
    rescuer, _, events = bench.worker("rescuer", queues=("elsewhere",))
    bring_contact(bench, rescuer)
    look_again(bench, rescuer)
    assert [run_id for _, run_id in told(events)][:4] == [*made, made[0]]
    assert {name for name, _ in told(events)} == {"run.rescue_refused"}
