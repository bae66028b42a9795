"""A worker that has lost the database: runs with `on_lost_contact="stop"` end before their leases do, others go on."""

import pytest

from reproq.lifecycle import Kind, Release, failure_of_kind
from reproq.store.requests import ClaimRuns
from reproq.worker.loop import Worker
from reproq.worker.tether import CLAIMED_TOO_LATE, OUT_OF_CONTACT, Tether
from tests.loops.conftest import Bench, HandExecutor

STORED = "SELECT status, attempts, failures, releases, waiting_reason FROM task_runs ORDER BY id"
CANCELLED = failure_of_kind(Kind.CANCELLED, "cancelled by request")


def end_stopped(executor: HandExecutor) -> None:
    for key in executor.stopped.keys() & executor.payloads.keys():
        executor.end(key, executor.stopped[key], at=None if key in executor.queued else 0.0)


def lose_contact(bench: Bench, worker: Worker, seconds: float) -> None:
    """Cut the worker off, and let it step when so much time is over."""
    bench.stores["w1"].cut = True
    bench.clock.advance(seconds)
    bench.steps(worker)


def test_while_the_database_is_away_only_runs_that_say_so_are_stopped(bench: Bench) -> None:
    worker, executor, events = bench.worker(kill_grace=5.0)
    (alone,) = bench.enqueue(1, on_lost_contact="stop")
    bench.enqueue(2)
    bench.steps(worker)
    lose_contact(bench, worker, 23.9)
    assert not executor.stopped
    bench.clock.advance(0.2)
    bench.steps(worker)
    ((key, why),) = executor.stopped.items()
    assert (key[0], why, len(executor.payloads)) == (alone, OUT_OF_CONTACT, 2)
    assert executor.graces[key] == pytest.approx(4.9), "with the margin, KILL comes a second before the lease ends"
    assert [event.fields["id"] for event in events if event.name == "run.out_of_contact"] == [alone]


def test_a_stopped_run_is_given_back_uncounted_when_the_database_is_there_again(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    bench.enqueue(1, on_lost_contact="stop")
    bench.steps(worker)
    lose_contact(bench, worker, 25)
    end_stopped(executor)
    bench.steps(worker)
    worker.drain()  # so that it does not claim it again at once
    bench.stores["w1"].mend()
    bench.steps(worker)
    assert bench.pg.execute(STORED).fetchall() == [("READY", 1, 0, 1, OUT_OF_CONTACT.reason)]
    assert "run.released" in [event.name for event in events]


def test_a_stopped_run_that_somebody_took_over_is_left_alone(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    bench.enqueue(1, on_lost_contact="stop")
    bench.steps(worker)
    lose_contact(bench, worker, 25)
    end_stopped(executor)
    bench.steps(worker)
    taken = "SELECT status, worker_id, claim_token, releases FROM task_runs"
    bench.pg.execute("UPDATE task_runs SET worker_id = 'w2', claim_token = 7")
    bench.stores["w1"].mend()
    bench.steps(worker)
    assert bench.pg.execute(taken).fetchone() == ("RUNNING", "w2", 7, 0)
    assert "run.outcome_discarded" in [event.name for event in events]


def test_each_renewal_gives_a_run_another_lease_from_when_it_was_asked(bench: Bench) -> None:
    worker, executor, _ = bench.worker(kill_grace=5.0)
    bench.enqueue(1, on_lost_contact="stop")
    bench.steps(worker)
    for _ in range(6):
        bench.clock.advance(10)
        bench.steps(worker)
    bench.clock.advance(9)
    bench.steps(worker)
    bench.stores["w1"].cut = True
    bench.clock.advance(1)
    bench.steps(worker)  # it asks for a renewal, and is answered 13 s later
    bench.clock.advance(13)
    bench.steps(worker)
    bench.stores["w1"].mend()
    bench.steps(worker)
    lose_contact(bench, worker, 10.9)
    assert not executor.stopped
    bench.clock.advance(13.2)
    bench.steps(worker)
    assert executor.stopped, "24 s after the newest renewal that succeeded was asked"


def test_a_database_that_is_back_in_time_stops_nothing(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1, on_lost_contact="stop")
    bench.steps(worker)
    lose_contact(bench, worker, 20)
    bench.stores["w1"].mend()
    bench.steps(worker)
    for _ in range(3):
        bench.clock.advance(10)
        bench.steps(worker)
    assert not executor.stopped


def test_a_run_that_waits_for_a_process_is_given_back_as_if_never_claimed(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1, on_lost_contact="stop")
    bench.steps(worker)
    executor.queued = set(executor.payloads)
    lose_contact(bench, worker, 25)
    end_stopped(executor)
    bench.steps(worker)
    worker.drain()
    bench.stores["w1"].mend()
    bench.steps(worker)
    assert bench.pg.execute(STORED).fetchall() == [("READY", 0, 0, 0, OUT_OF_CONTACT.reason)]


def test_what_succeeds_within_the_grace_is_stored_as_a_success(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1, on_lost_contact="stop")
    bench.steps(worker)
    lose_contact(bench, worker, 25)
    executor.end_all()
    bench.steps(worker)
    bench.stores["w1"].mend()
    bench.steps(worker)
    assert bench.statuses() == {"SUCCESSFUL": 1}


def test_a_claim_whose_answer_came_too_late_is_given_back_unbegun_and_taken_anew(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    bench.steps(worker)
    bench.enqueue(1, on_lost_contact="stop")
    lose_contact(bench, worker, 1)
    assert any(isinstance(request, ClaimRuns) for request in bench.stores["w1"].waiting)
    bench.clock.advance(60)
    bench.stores["w1"].mend()
    worker.step(0)
    assert not executor.payloads
    bench.steps(worker)
    (told,) = [event for event in events if event.name == "run.released"]
    assert told.fields["reason"] == CLAIMED_TOO_LATE.reason
    assert bench.pg.execute(STORED).fetchall() == [("RUNNING", 1, 0, 0, None)]
    assert len(executor.payloads) == 1


def test_a_run_that_must_not_overlap_and_was_lost_is_killed_without_grace(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1, on_lost_contact="stop")
    bench.enqueue(2)
    bench.steps(worker)
    bench.pg.execute("UPDATE task_runs SET claim_token = claim_token + 1")
    bench.clock.advance(10)
    bench.steps(worker)
    alone, other = sorted(executor.graces)
    assert (executor.graces[alone], executor.graces[other]) == (0.0, None)


def test_a_grace_that_does_not_fit_into_the_lease_is_cut() -> None:
    tether = Tether(lease_seconds=30.0, kill_grace_seconds=600.0)
    assert tether.hold((1, 1), asked_s=0.0, now=0.0)
    assert list(tether.moments()) == [19.0]
    assert tether.due(18.9) == {}
    assert tether.due(20.0) == {(1, 1): 9.0}
    assert (list(tether.moments()), tether.due(21.0)) == ([], {})


def test_a_worker_that_was_itself_stopped_has_no_grace_left_to_give() -> None:
    tether = Tether(lease_seconds=30.0, kill_grace_seconds=5.0)
    tether.hold((1, 1), asked_s=0.0, now=0.0)
    assert tether.due(500.0) == {(1, 1): 0.0}


# Ends of runs that never began


@pytest.mark.parametrize("why", [CANCELLED, Release("given back", started=True)])
def test_a_run_that_is_ended_before_it_began_has_made_no_attempt(bench: Bench, why) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1)
    bench.steps(worker)
    (key,) = executor.payloads
    executor.end(key, why, at=None)
    worker.drain()
    bench.steps(worker)
    assert bench.pg.execute("SELECT attempts, cardinality(worker_ids), started_at FROM task_runs").fetchall() == [
        (0, 0, None)
    ]
