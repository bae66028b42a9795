"""A worker some of whose runs somebody's transaction holds: those wait, all others go on as ever."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from reproq.worker.ledger import AGAIN_SECONDS
from reproq.worker.presence import HELD_SECONDS, SOON_SECONDS, SPREAD_SECONDS
from reproq.worker.tether import OUT_OF_CONTACT
from tests.loops.conftest import Bench


@contextmanager
def locked(bench: Bench, run_id: int) -> Iterator[None]:
    """While a transaction of somebody else's holds the row of this run."""
    with psycopg.connect(bench.pg.info.dsn, password=bench.pg.info.password) as other:
        other.execute("SELECT FROM task_runs WHERE id = %s FOR UPDATE", [run_id])
        yield
        other.rollback()


def statuses(bench: Bench) -> list[str]:
    return [status for (status,) in bench.pg.execute("SELECT status FROM task_runs ORDER BY id")]


def test_an_end_that_is_held_up_is_told_once_and_stored_when_the_row_is_free(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    held, _ = bench.enqueue(1), bench.enqueue(2)
    bench.steps(worker)
    with locked(bench, held[0]):
        executor.end_all()
        bench.steps(worker)
        bench.clock.advance(AGAIN_SECONDS)
        bench.steps(worker)
        assert statuses(bench).count("SUCCESSFUL") == len(statuses(bench)) - 1
        assert worker.left_behind == 1
    assert [event.fields["id"] for event in events if event.name == "run.held_up"] == held[:1]
    bench.clock.advance(AGAIN_SECONDS)
    bench.steps(worker)
    assert set(statuses(bench)) == {"SUCCESSFUL"}
    assert worker.left_behind == 0


def test_runs_that_end_meanwhile_do_not_put_off_the_next_try(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    (held, *_) = bench.enqueue(1)
    bench.steps(worker)
    with locked(bench, held):
        executor.end_all()
        bench.steps(worker)
    for number in range(2, 6):
        bench.clock.advance(AGAIN_SECONDS / 4)
        bench.enqueue(number)
        bench.steps(worker)
        executor.end_all()
        bench.steps(worker)
    assert set(statuses(bench)) == {"SUCCESSFUL"}


def test_a_worker_that_drains_waits_for_the_row(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    (held, *_) = bench.enqueue(1)
    bench.steps(worker)
    with locked(bench, held):
        executor.end_all()
        bench.steps(worker)
        worker.drain()
        bench.steps(worker)
        assert not worker.finished
    bench.clock.advance(AGAIN_SECONDS)
    bench.steps(worker)
    assert worker.finished


def test_an_end_that_is_held_up_is_tried_again_in_time_whatever_else_is_held_up_meanwhile(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    first, second = bench.enqueue(1, 2)
    bench.steps(worker)
    one, other = sorted(executor.payloads)
    with locked(bench, first):
        executor.end(one)
        bench.steps(worker)
    bench.clock.advance(0.9 * AGAIN_SECONDS)
    with locked(bench, second):
        executor.end(other)
        bench.steps(worker)
        bench.clock.advance(0.2 * AGAIN_SECONDS)
        bench.steps(worker)
        assert statuses(bench) == ["SUCCESSFUL", "RUNNING"]


def test_a_lease_that_ran_out_while_the_row_was_held_is_renewed_before_others_look(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    rescuer, *_ = bench.worker("w2", queues=("elsewhere",))
    (held,) = bench.enqueue(1)
    bench.steps(worker)
    with locked(bench, held):
        for _ in range(50):
            bench.clock.advance(SOON_SECONDS)
            bench.steps(worker)
            bench.steps(rescuer)
    assert held in {key[0] for key in executor.payloads}
    bench.clock.advance(SOON_SECONDS)
    bench.steps(worker)
    bench.clock.advance(HELD_SECONDS + SPREAD_SECONDS)
    bench.steps(rescuer)
    assert statuses(bench) == ["RUNNING"]
    assert not [event for event in events if event.name == "run.lease_lost"]


def test_a_lock_of_a_moment_stops_no_run_that_must_not_overlap(bench: Bench) -> None:
    worker, executor, _ = bench.worker(kill_grace=10.0)
    (held,) = bench.enqueue(1, on_lost_contact="stop")
    bench.steps(worker)
    bench.clock.advance(10)
    with locked(bench, held):
        bench.steps(worker)
    for _ in range(10):
        bench.clock.advance(SOON_SECONDS)
        bench.steps(worker)
    assert not executor.stopped


def test_a_run_that_must_not_overlap_is_stopped_when_its_row_is_held_for_too_long(bench: Bench) -> None:
    worker, executor, events = bench.worker(kill_grace=5.0)
    (held,) = bench.enqueue(1, on_lost_contact="stop")
    (other,) = bench.enqueue(1, on_lost_contact="stop")
    bench.steps(worker)
    with locked(bench, held):
        for _ in range(3):
            bench.clock.advance(8.1)
            bench.steps(worker)
    assert {key[0]: why for key, why in executor.stopped.items()} == {held: OUT_OF_CONTACT}
    assert other in {key[0] for key in executor.payloads.keys() - executor.stopped.keys()}
    assert "run.lease_lost" not in [event.name for event in events]
