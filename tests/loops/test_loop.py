"""What the loop decides, step by step, over the real SQL."""

from datetime import timedelta

import pytest

from reproq.errors import ConfigurationError
from reproq.lifecycle import Failure, Kind, Release
from reproq.service import serve
from reproq.store.requests import ClaimRuns
from reproq.store.rescues import RESCUE_LIMIT, RescueRuns
from tests.loops.conftest import Bench

BROKEN = Failure(Kind.EXCEPTION, "builtins.ValueError", "broken")


def test_a_run_is_claimed_executed_and_its_end_stored(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    (run_id,) = bench.enqueue(7)
    bench.steps(worker)
    (key,) = executor.payloads
    assert key[0] == run_id
    assert executor.payloads[key].args_json == "[7]"
    executor.end(key)
    bench.steps(worker)
    assert bench.statuses() == {"SUCCESSFUL": 1}
    assert [event.name for event in events] == ["worker.started", "run.claimed", "run.succeeded"]
    assert [event.fields.get("task") for event in events] == [None, "x.y", "x.y"]


def test_no_more_is_claimed_than_there_is_room_for(bench: Bench) -> None:
    worker, executor, _ = bench.worker(concurrency=2)
    bench.enqueue(1, 2, 3)
    bench.steps(worker)
    assert len(executor.payloads) == 2
    assert bench.statuses() == {"RUNNING": 2, "READY": 1}
    executor.end_all()
    bench.steps(worker)
    assert len(executor.payloads) == 1, "the batch was full, so the rest is claimed at once"


def test_nothing_is_claimed_before_the_executor_is_ready(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    executor.is_ready = False
    bench.enqueue(1)
    bench.steps(worker)
    assert bench.statuses() == {"READY": 1}
    executor.is_ready = True
    bench.steps(worker)
    assert bench.statuses() == {"RUNNING": 1}


def test_a_failed_run_is_tried_again_when_its_delay_is_over(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    bench.enqueue(1, max_attempts=2, backoff_seconds=(10.0,))
    bench.steps(worker)
    executor.end(next(iter(executor.payloads)), BROKEN)
    bench.steps(worker)
    assert bench.statuses() == {"SCHEDULED": 1}
    bench.clock.advance(7.9)
    bench.steps(worker)
    assert not executor.payloads, "ten seconds less the jitter are not over"
    bench.clock.advance(4.2)
    bench.steps(worker)
    (key,) = executor.payloads
    assert executor.payloads[key].attempt == 2
    executor.end(key, BROKEN)
    bench.steps(worker)
    assert bench.statuses() == {"FAILED": 1}
    assert [event.name for event in events if event.name.startswith("run.")] == [
        "run.claimed",
        "run.retried",
        "run.claimed",
        "run.failed",
    ]
    assert {event.fields["task"] for event in events if event.name.startswith("run.")} == {"x.y"}


def test_leases_are_renewed_while_a_run_takes_its_time(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1)
    bench.steps(worker)
    for _ in range(10):
        bench.clock.advance(10)
        bench.steps(worker)
    assert len(executor.payloads) == 1
    (left,) = bench.pg.execute(
        "SELECT extract(epoch FROM lease_expires_at - %s) FROM task_runs", [bench.clock.now()]
    ).fetchone()
    assert left == 30


def test_a_worker_that_lost_its_lease_kills_the_child_and_stores_nothing(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    bench.enqueue(1)
    bench.steps(worker)
    (key,) = executor.payloads
    bench.pg.execute("UPDATE task_runs SET claim_token = claim_token - 1")
    bench.clock.advance(10)
    bench.steps(worker)
    assert isinstance(executor.stopped[key], Release)
    executor.end(key)
    bench.steps(worker)
    assert bench.statuses() == {"RUNNING": 1}
    assert [event.name for event in events][-2:] == ["run.lease_lost", "run.outcome_discarded"]


def test_an_end_whose_claim_has_passed_to_another_is_told_and_changes_nothing(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    bench.enqueue(1)
    bench.steps(worker)
    bench.pg.execute("UPDATE task_runs SET claim_token = claim_token - 1")
    executor.end_all()
    bench.steps(worker)
    assert bench.statuses() == {"RUNNING": 1}
    assert events[-1].name == "run.outcome_discarded"


def test_a_worker_rescues_only_after_a_whole_lease_of_unbroken_contact(bench: Bench) -> None:
    lost, _, _ = bench.worker("lost")
    bench.enqueue(1)
    bench.steps(lost)
    bench.clock.advance(31)
    rescuer, _, events = bench.worker("rescuer")
    bench.steps(rescuer)
    assert bench.statuses() == {"RUNNING": 1}, "the lease is over, but the rescuer has just come"
    for _ in range(3):
        bench.clock.advance(10)
        bench.steps(rescuer)
    assert bench.statuses() == {"SCHEDULED": 1}
    (rescued,) = [event for event in events if event.name == "run.rescued"]
    assert rescued.fields["lost_by"] == "lost"


def test_no_rescue_is_asked_while_the_database_is_away_nor_until_a_lease_after_it(bench: Bench) -> None:
    lost, _, _ = bench.worker("lost")
    bench.enqueue(1)
    bench.steps(lost)
    rescuer, _, _ = bench.worker("rescuer")
    for _ in range(4):
        bench.steps(lost)
        bench.steps(rescuer)
        bench.clock.advance(10)
    store = bench.stores["rescuer"]
    store.cut = True
    for _ in range(6):
        bench.steps(rescuer)
        bench.clock.advance(10)
    assert not any(isinstance(request, RescueRuns) for request in store.waiting)
    store.mend()
    for _ in range(3):
        bench.steps(rescuer)
        assert bench.statuses() == {"RUNNING": 1}, "the other worker has not had its time to renew"
        bench.clock.advance(10)
    bench.steps(rescuer)
    assert bench.statuses() == {"SCHEDULED": 1}


def test_a_worker_that_was_itself_stopped_for_a_while_has_lost_contact(bench: Bench) -> None:
    lost, _, _ = bench.worker("lost")
    bench.enqueue(1)
    rescuer, _, _ = bench.worker("rescuer")
    for _ in range(4):
        bench.steps(lost)
        bench.steps(rescuer)
        bench.clock.advance(10)
    bench.clock.advance(300)
    bench.steps(rescuer)
    assert bench.statuses() == {"RUNNING": 1}


def test_more_lost_runs_than_one_batch_are_rescued_at_once(bench: Bench) -> None:
    lost, _, _ = bench.worker("lost", concurrency=RESCUE_LIMIT + 50)
    bench.enqueue(*range(RESCUE_LIMIT + 50))
    bench.steps(lost)
    rescuer, _, _ = bench.worker("rescuer")
    for _ in range(5):
        bench.steps(rescuer, 6)
        bench.clock.advance(10)
    assert bench.statuses() == {"SCHEDULED": RESCUE_LIMIT + 50}


def test_a_late_renewal_takes_up_the_claim_again_when_nobody_rescued_it(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1)
    bench.steps(worker)
    bench.clock.advance(300)
    bench.steps(worker)
    assert not executor.stopped
    executor.end_all()
    bench.steps(worker)
    assert bench.statuses() == {"SUCCESSFUL": 1}


def test_a_drained_worker_claims_nothing_more_and_finishes_what_runs(bench: Bench) -> None:
    worker, executor, _ = bench.worker(concurrency=1)
    bench.enqueue(1, 2)
    bench.steps(worker)
    worker.drain()
    executor.end_all()
    bench.steps(worker)
    assert worker.finished
    assert bench.statuses() == {"SUCCESSFUL": 1, "READY": 1}


def test_what_outlasts_the_drain_is_stopped_and_given_back(bench: Bench) -> None:
    worker, executor, _ = bench.worker(drain_timeout=5.0)
    bench.enqueue(1)
    bench.steps(worker)
    worker.drain()
    bench.clock.advance(5)
    bench.steps(worker)
    ((key, why),) = executor.stopped.items()
    executor.end(key, why)
    bench.steps(worker)
    assert worker.finished
    assert bench.pg.execute("SELECT status, failures, releases FROM task_runs").fetchone() == ("READY", 0, 1)


def test_what_a_closed_worker_had_in_hand_is_stored_or_given_back(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    bench.enqueue(1, 2, 3)
    bench.steps(worker)
    first, second, _ = executor.payloads
    executor.end(first)
    bench.stores["w1"].cut = True
    worker.step(0)  # the first end is on its way to the store
    executor.end(second, BROKEN)
    bench.stores["w1"].mend()
    worker.close()
    bench.workers.remove(worker)
    assert bench.statuses() == {"SUCCESSFUL": 1, "SCHEDULED": 1, "READY": 1}
    assert not worker.left_behind
    assert [event.name for event in events][-4:] == ["run.succeeded", "run.retried", "run.released", "worker.stopped"]


def test_a_worker_that_ends_by_an_error_gives_its_runs_back(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1)
    bench.steps(worker)
    executor.never_ready = True
    with pytest.raises(ConfigurationError):
        serve(worker)
    bench.workers.remove(worker)
    assert bench.pg.execute("SELECT status, failures, releases FROM task_runs").fetchone() == ("READY", 0, 1)


def test_a_run_that_was_stopped_before_it_began_costs_no_attempt(bench: Bench) -> None:
    worker, executor, _ = bench.worker(drain_timeout=0.0)
    bench.enqueue(1)
    bench.steps(worker)
    worker.drain()
    bench.steps(worker)
    ((key, why),) = executor.stopped.items()
    executor.end(key, why, at=None)
    bench.steps(worker)
    assert bench.pg.execute("SELECT status, attempts, releases FROM task_runs").fetchone() == ("READY", 0, 0)


def test_a_second_stop_shortens_the_drain(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1)
    bench.steps(worker)
    worker.drain()
    worker.drain(0.0)
    bench.steps(worker)
    assert len(executor.stopped) == 1


def test_a_burst_waits_for_what_falls_due_within_a_minute_and_ends(bench: Bench) -> None:
    worker, executor, _ = bench.worker(burst=True)
    bench.enqueue(1, delay_seconds=50.0)
    bench.enqueue(2, delay_seconds=3600.0)
    bench.steps(worker)
    assert not worker.finished
    for _ in range(51):
        bench.clock.advance(1)
        bench.steps(worker)
    executor.end_all()
    bench.steps(worker)
    bench.clock.advance(1)
    bench.steps(worker)
    assert worker.finished
    assert bench.statuses() == {"SUCCESSFUL": 1, "SCHEDULED": 1}


def test_a_burst_ends_beside_a_full_queue_that_it_excludes(bench: Bench) -> None:
    worker, executor, _ = bench.worker(burst=True, queues=("*",), exclude_queues=("slow",))
    bench.enqueue(1, 2, queue_name="slow")
    bench.enqueue(3, queue_name="slow", delay_seconds=10.0)
    bench.enqueue(4)
    bench.steps(worker)
    executor.end_all()
    bench.steps(worker)
    bench.clock.advance(1)
    bench.steps(worker, 6)
    assert worker.finished
    assert bench.statuses() == {"SUCCESSFUL": 1, "READY": 2, "SCHEDULED": 1}


def test_a_due_run_that_another_transaction_holds_makes_nobody_spin(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1, delay_seconds=10.0)
    bench.steps(worker)
    asked = bench.stores["w1"].asked
    bench.clock.advance(11)
    with bench.pg.transaction():
        bench.pg.execute("SELECT FROM task_runs FOR UPDATE")
        bench.steps(worker)
        asked.clear()
        for _ in range(4):
            bench.clock.advance(0.01)
            bench.steps(worker)
        assert asked == []
    bench.clock.advance(0.02)
    bench.steps(worker)
    assert len(executor.payloads) == 1


def test_all_queues_are_found_and_excluded_ones_left_alone(bench: Bench) -> None:
    worker, executor, _ = bench.worker(queues=("*",), exclude_queues=("slow",))
    for queue in ("mail", "slow", "reports"):
        bench.enqueue(1, queue_name=queue)
    bench.steps(worker)
    assert {payload.queue_name for payload in executor.payloads.values()} == {"mail", "reports"}
    executor.end_all()
    bench.steps(worker)
    bench.enqueue(1, queue_name="new")
    bench.clock.advance(1)
    bench.steps(worker)
    assert [payload.queue_name for payload in executor.payloads.values()] == ["new"]


def test_a_worker_of_all_queues_runs_what_falls_due_where_nothing_else_is_ready(bench: Bench) -> None:
    worker, executor, _ = bench.worker(queues=("*",))
    bench.enqueue(1, queue_name="later", delay_seconds=0.5)
    bench.steps(worker)
    bench.clock.advance(0.502)
    bench.steps(worker, 6)
    assert [payload.queue_name for payload in executor.payloads.values()] == ["later"]


def test_two_living_workers_cannot_bear_one_id(bench: Bench) -> None:
    first, _, _ = bench.worker("same")
    bench.steps(first)
    second, _, events = bench.worker("same")
    bench.steps(second)
    assert events[-1].name == "worker.id_taken"
    assert events[-1].fields["by_pid"] == bench.pg.execute("SELECT pid FROM reproq_workers").fetchone()[0]
    assert events[-1].fields["next"] == "asking again for 60 s at most, until it is stale"

    def wait_for_a_minute() -> None:
        for _ in range(7):
            bench.clock.advance(10)
            bench.steps(first)
            bench.steps(second)

    with pytest.raises(ConfigurationError, match=r"another living worker bears the id same.*pid \d+ on "):
        wait_for_a_minute()
    assert [event.name for event in events].count("worker.id_taken") == 1


def test_a_restarted_worker_takes_its_id_over_when_the_old_one_is_stale(bench: Bench) -> None:
    first, _, _ = bench.worker("same")
    bench.steps(first)
    second, _, events = bench.worker("same")
    for _ in range(4):
        bench.clock.advance(10)
        bench.steps(second)
    assert events[-1].name == "worker.started"


def test_a_worker_whose_row_was_removed_registers_again(bench: Bench) -> None:
    worker, _, _ = bench.worker()
    bench.steps(worker)
    bench.pg.execute("DELETE FROM reproq_workers")
    bench.clock.advance(10)
    bench.steps(worker)
    assert bench.pg.execute("SELECT worker_id FROM reproq_workers").fetchall() == [("w1",)]


def test_leases_are_renewed_while_another_worker_bears_the_id(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    bench.enqueue(1)
    bench.steps(worker)
    bench.pg.execute("UPDATE reproq_workers SET hostname = 'elsewhere'")
    for _ in range(5):
        bench.clock.advance(10)
        bench.pg.execute("UPDATE reproq_workers SET last_seen_at = %s", [bench.clock.now()])
        bench.steps(worker)
    assert events[-1].name == "worker.id_taken"
    (left,) = bench.pg.execute(
        "SELECT extract(epoch FROM lease_expires_at - %s) FROM task_runs", [bench.clock.now()]
    ).fetchone()
    assert left == 30
    executor.end_all()
    bench.steps(worker)
    assert bench.statuses() == {"SUCCESSFUL": 1}


def test_a_worker_leaves_the_row_of_its_successor_alone(bench: Bench) -> None:
    worker, _, _ = bench.worker()
    bench.steps(worker)
    bench.pg.execute("UPDATE reproq_workers SET hostname = 'elsewhere'")
    worker.close()
    bench.workers.remove(worker)
    assert bench.pg.execute("SELECT hostname FROM reproq_workers").fetchall() == [("elsewhere",)]


def test_a_busy_worker_asks_to_promote_only_when_a_run_has_fallen_due(bench: Bench) -> None:
    worker, executor, _ = bench.worker(concurrency=1)
    bench.enqueue(*range(4))
    (later,) = bench.enqueue(9, run_after=bench.clock.now() + timedelta(seconds=5))
    claims = []
    for seconds in (0.0, 1.0, 1.0, 4.0):
        bench.clock.advance(seconds)
        bench.steps(worker, 4)
        executor.end_all()
        claims.append([one.promotes for one in bench.stores["w1"].asked if isinstance(one, ClaimRuns)])
        bench.stores["w1"].asked.clear()
    assert claims[0][0]  # at first, it knows of nothing
    assert not any(claims[0][1:] + claims[1] + claims[2])
    assert claims[3][0]
    assert bench.pg.execute("SELECT status FROM task_runs WHERE id = %s", [later]).fetchone() != ("SCHEDULED",)
