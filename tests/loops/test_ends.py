"""The rarer ends of a run, step by step, over the real SQL: cancelled, expired, unknown, drained, rescued in time."""

from typing import Any

import pytest

from reproq.lifecycle import Failure, Kind, Release, Status, Success, failure_of_kind
from reproq.output import Output
from reproq.store import interventions, logs
from reproq.store.requests import AskCancelled, ClaimRuns
from reproq.store.rescues import RescueRuns
from reproq.worker.drain import GIVE_UP_SECONDS
from reproq.worker.ledger import MAX_ENDING_BYTES
from reproq.worker.presence import SPREAD_SECONDS
from tests.loops.conftest import Bench

BROKEN = Failure(Kind.EXCEPTION, "builtins.ValueError", "broken")
UNKNOWN = failure_of_kind(Kind.UNKNOWN_TASK, "there is no module x")


def run_of(bench: Bench, columns: str = "status, attempts, failures, errors") -> Any:
    return bench.pg.execute(f"SELECT {columns} FROM task_runs").fetchone()


def cancel(bench: Bench, *run_ids: int) -> dict[int, Status]:
    with bench.pg.cursor() as cursor:
        return interventions.cancel(cursor, run_ids, now=bench.clock.now())


# Cancelled


def test_a_run_that_is_to_be_cancelled_is_stopped_within_a_second_and_ends_cancelled(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    (run_id,) = bench.enqueue(1)
    bench.steps(worker)
    assert cancel(bench, run_id) == {run_id: Status.RUNNING}
    bench.clock.advance(1)
    bench.steps(worker)
    ((key, why),) = executor.stopped.items()
    executor.end(key, why)
    bench.steps(worker)
    status, attempts, failures, (error,) = run_of(bench)
    assert (status, attempts, failures, error["kind"]) == ("CANCELLED", 1, 0, "cancelled")


def test_nobody_asks_about_runs_that_end_within_a_second(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    for number in range(20):
        bench.enqueue(number)
        bench.clock.advance(1)
        bench.steps(worker)
        executor.end_all()
        bench.steps(worker)
    assert not [request for request in bench.stores["w1"].asked if isinstance(request, AskCancelled)]


def test_a_run_that_ends_before_it_could_be_stopped_has_that_end(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    (run_id,) = bench.enqueue(1)
    bench.steps(worker)
    cancel(bench, run_id)
    executor.end_all()
    bench.steps(worker)
    assert run_of(bench)[0] == "SUCCESSFUL"
    assert cancel(bench, run_id) == {}


@pytest.mark.parametrize(
    "outcome", [BROKEN, Release("drain", started=True), Release("drain", started=False), UNKNOWN], ids=str
)
def test_a_run_that_is_to_be_cancelled_gets_no_other_attempt_however_this_one_ends(bench: Bench, outcome: Any) -> None:
    worker, executor, events = bench.worker()
    (run_id,) = bench.enqueue(1)
    bench.steps(worker)
    cancel(bench, run_id)
    executor.end(next(iter(executor.payloads)), outcome)
    bench.steps(worker)
    status, _, _, errors = run_of(bench)
    assert (status, errors[-1]["kind"]) == ("CANCELLED", "cancelled")
    assert run_of(bench, "finished_at IS NOT NULL, waiting_reason") == (True, None)
    assert events[-1].name == "run.cancelled"


def test_a_rescued_run_that_is_to_be_cancelled_gets_no_other_attempt(bench: Bench) -> None:
    lost, _, _ = bench.worker("lost")
    (run_id,) = bench.enqueue(1)
    bench.steps(lost)
    cancel(bench, run_id)
    rescuer, _, events = bench.worker("rescuer")
    for _ in range(5):
        bench.steps(rescuer)
        bench.clock.advance(10)
    assert [error["kind"] for error in run_of(bench)[3]] == ["lease_expired", "cancelled"]
    (rescued,) = [event for event in events if event.name == "run.rescued"]
    assert rescued.fields["becomes"] == "CANCELLED"


# Expired


def test_a_run_that_no_worker_started_in_time_never_starts(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1, delay_seconds=60.0, expires_in_seconds=10.0)
    bench.clock.advance(70)
    bench.steps(worker)
    assert not executor.payloads
    status, attempts, failures, (error,) = run_of(bench)
    assert (status, attempts, failures, error["kind"]) == ("FAILED", 0, 0, "expired")
    assert error["exception_class"] == "reproq.errors.RunExpired"


def test_a_run_that_started_in_time_may_be_retried_later(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1, expires_in_seconds=10.0, backoff_seconds=(60.0,))
    bench.steps(worker)
    executor.end(next(iter(executor.payloads)), BROKEN, at=bench.clock.monotonic())
    bench.steps(worker)
    for _ in range(8):
        bench.clock.advance(10)
        bench.steps(worker)
    assert len(executor.payloads) == 1


def test_an_expired_run_that_somebody_retries_starts(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    (run_id,) = bench.enqueue(1, expires_in_seconds=10.0)
    bench.clock.advance(70)
    bench.steps(worker)
    with bench.pg.cursor() as cursor:
        assert interventions.retry(cursor, [run_id], now=bench.clock.now()) == [run_id]
    bench.clock.advance(1)
    bench.steps(worker)
    assert len(executor.payloads) == 1


# Unknown here


def test_a_task_that_this_worker_does_not_know_is_left_to_others_first(bench: Bench) -> None:
    old, executor, _ = bench.worker("old")
    bench.enqueue(1)
    bench.steps(old)
    executor.end(next(iter(executor.payloads)), UNKNOWN)
    bench.steps(old)
    assert run_of(bench)[:3] == ("SCHEDULED", 0, 0)
    bench.clock.advance(6)
    bench.steps(old)
    assert bench.statuses() == {"READY": 1}, "it is due, and the worker that does not know it takes a step back"
    new, knows, _ = bench.worker("new")
    bench.steps(new)
    assert len(knows.payloads) == 1


def test_a_task_that_nobody_knows_waits_longer_each_time_and_costs_no_process(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1)
    bench.steps(worker)
    executor.end(next(iter(executor.payloads)), UNKNOWN)
    waits = []
    for _ in range(400):
        bench.clock.advance(5)
        bench.steps(worker)
        ((due_in, reason),) = bench.pg.execute(
            "SELECT extract(epoch FROM due_at - %s)::int, waiting_reason FROM task_runs", [bench.clock.now()]
        ).fetchall()
        waits.append(due_in)
        assert reason == UNKNOWN.message
    assert not executor.payloads
    assert max(waits) == 300
    assert len(run_of(bench)[3]) == 1


def test_another_task_of_the_same_queue_is_not_held_up_by_an_unknown_one(bench: Bench) -> None:
    worker, executor, _ = bench.worker(concurrency=1)
    bench.enqueue(1)
    bench.steps(worker)
    executor.end(next(iter(executor.payloads)), UNKNOWN)
    bench.steps(worker)
    bench.enqueue(2)
    bench.pg.execute("UPDATE task_runs SET status = 'READY', priority = 100 WHERE status = 'SCHEDULED'")
    bench.pg.execute("INSERT INTO task_runs (task_path) VALUES ('known')")
    bench.clock.advance(1)
    bench.steps(worker)
    assert [payload.task_path for payload in executor.payloads.values()] == ["known"]


# Drained


def test_what_has_no_process_yet_is_given_back_at_once_by_a_drain(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1, 2)
    bench.steps(worker)
    executor.queued.add(list(executor.payloads)[1])
    worker.drain()
    bench.steps(worker)
    assert bench.statuses() == {"RUNNING": 1, "READY": 1}
    assert bench.pg.execute("SELECT attempts, releases FROM task_runs WHERE status = 'READY'").fetchone() == (0, 0)


def test_a_drain_asks_to_end_at_four_fifths_and_kills_at_its_end(bench: Bench) -> None:
    worker, executor, _ = bench.worker(drain_timeout=10.0, kill_grace=5.0)
    bench.enqueue(1)
    bench.steps(worker)
    worker.drain()
    bench.clock.advance(7.9)
    bench.steps(worker)
    assert not executor.stopped
    bench.clock.advance(0.1)
    bench.steps(worker)
    (grace_seconds,) = executor.graces.values()
    assert grace_seconds == pytest.approx(2.0)


def test_a_second_signal_leaves_no_grace_even_after_the_first_asked(bench: Bench) -> None:
    worker, executor, _ = bench.worker(drain_timeout=10.0)
    bench.enqueue(1)
    bench.steps(worker)
    worker.drain()
    bench.clock.advance(8)
    bench.steps(worker)
    worker.drain(0.0)
    bench.steps(worker)
    assert list(executor.graces.values()) == [0.0]


def test_a_drained_worker_without_a_database_gives_up_within_half_a_minute(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    bench.enqueue(1)
    bench.steps(worker)
    bench.stores["w1"].cut = True
    worker.drain()
    executor.end_all()
    bench.steps(worker)
    bench.clock.advance(25 + GIVE_UP_SECONDS)
    bench.steps(worker)
    assert not worker.finished
    bench.clock.advance(0.5)
    assert worker.finished
    assert bench.clock.seconds - 1000 < 30
    assert worker.left_behind == 1
    bench.stores["w1"].mend()


def test_a_worker_that_ends_while_it_registers_leaves_no_row(bench: Bench) -> None:
    worker, _, _ = bench.worker()
    store = bench.stores["w1"]
    store.cut = True
    bench.steps(worker)
    worker.drain()
    assert worker.finished
    store.mend()  # its row is written now, and it has not heard of that
    bench.workers.remove(worker)
    worker.close()
    assert bench.pg.execute("SELECT count(*) FROM reproq_workers").fetchone() == (0,)


# Rescued in time


@pytest.mark.parametrize("claimed_at", [3, 17, 28])
def test_a_lost_run_is_rescued_within_two_seconds_of_the_end_of_its_lease(bench: Bench, claimed_at: int) -> None:
    rescuer, executor, _ = bench.worker("rescuer", concurrency=1)
    bench.enqueue(0)
    bench.steps(rescuer)  # a run of its own, whose lease it renews
    for second in range(200):
        if second == 60 + claimed_at:
            lost, _, _ = bench.worker("lost")
            bench.enqueue(1)
            bench.steps(lost)
        bench.steps(rescuer)
        if bench.statuses().get("SCHEDULED"):
            break
        bench.clock.advance(1)
    assert second - (60 + claimed_at) <= 32
    assert len(executor.payloads) == 1


def test_rescuers_look_seldom_while_all_workers_live(bench: Bench) -> None:
    worker, _, _ = bench.worker()
    bench.enqueue(1)
    for _ in range(300):
        bench.steps(worker)
        bench.clock.advance(1)
    asked = [request for request in bench.stores["w1"].asked if isinstance(request, RescueRuns)]
    assert 8 <= len(asked) <= (300 - 30) / (20 - SPREAD_SECONDS)


def test_an_error_is_logged_with_its_class_and_the_beginning_of_its_text(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    bench.enqueue(1, backoff_seconds=(0.0,), max_attempts=2)
    long = Failure(Kind.EXCEPTION, "builtins.ValueError", "y" * 65_536)
    for outcome in (long, failure_of_kind(Kind.TIMEOUT, "late")):
        bench.clock.advance(1)
        bench.steps(worker)
        executor.end(next(iter(executor.payloads)), outcome)
        bench.steps(worker)
    told = {event.name: (event.fields["kind"], event.fields["error"]) for event in events if "error" in event.fields}
    assert told == {
        "run.retried": ("exception", f"ValueError: {'y' * 300}… (65,236 more characters)"),
        "run.failed": ("timeout", "late"),
    }


# What it printed


def test_what_an_attempt_printed_is_stored_with_its_end(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    (run_id,) = bench.enqueue(1, backoff_seconds=(0.0,))
    for outcome, printed in ((BROKEN, Output(b"first\n", b"", 6)), (Success("1"), Output(b"a\0", b"z\xff", 10**9))):
        bench.clock.advance(1)
        bench.steps(worker)
        executor.end(next(iter(executor.payloads)), outcome, printed=printed)
        bench.steps(worker)
    with bench.pg.cursor() as cursor:
        first, second = logs.of_run(cursor, run_id)
    assert (first.attempt, first.head, first.tail, first.is_cut) == (1, "first\n", "", False)
    assert (second.attempt, second.head, second.tail, second.bytes_total) == (2, "a\\x00", "z\\xff", 10**9)
    assert second.is_cut
    printed_fields = next(event for event in events if event.name == "run.printed").fields
    assert printed_fields == {"id": run_id, "task": "x.y", "bytes": 6, "see": f"reproq runs logs {run_id}"}


def test_nothing_more_is_claimed_while_what_waits_to_be_stored_is_large(bench: Bench) -> None:
    worker, executor, _ = bench.worker(concurrency=1)
    bench.enqueue(1, 2)
    bench.steps(worker)
    store = bench.stores["w1"]
    store.cut = True
    executor.end(next(iter(executor.payloads)), printed=Output(b"x" * MAX_ENDING_BYTES, b"", MAX_ENDING_BYTES))
    bench.clock.advance(1)
    bench.steps(worker)
    assert not [request for request in store.waiting if isinstance(request, ClaimRuns)]
    store.mend()
    bench.steps(worker, 8)
    assert len(executor.payloads) == 1
