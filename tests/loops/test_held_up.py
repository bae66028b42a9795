"""A worker some of whose runs somebody's transaction holds: those wait, all others go on as ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from reproq.store.holders import AskHolders
from reproq.store.requests import RenewLeases
from reproq.telemetry.events import Event
from reproq.worker.ledger import AGAIN_SECONDS
from reproq.worker.presence import HELD_SECONDS, SOON_SECONDS, SPREAD_SECONDS
from reproq.worker.tether import OUT_OF_CONTACT
from tests.loops.conftest import Bench


@contextmanager
def locked(bench: Bench, run_id: int) -> Iterator[None]:
    """While a transaction of somebody else's holds the row of this run."""
    with somebody(bench) as other:
        other.execute("SELECT FROM task_runs WHERE id = %s FOR UPDATE", [run_id])
        yield


@contextmanager
def somebody(bench: Bench) -> Iterator[psycopg.Connection]:
    """A session that is none of ours."""
    password = bench.pg.info.password
    with psycopg.connect(bench.pg.info.dsn, password=password, application_name="somebody") as other:
        yield other
        other.rollback()


def told(events: list[Event]) -> list[tuple[str, Any]]:
    """What was said of runs that are held up."""
    return [(event.name, event.fields["id"]) for event in events if event.name in ("run.held_up", "run.freed")]


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
    assert told(events) == [("run.held_up", held[0])]
    bench.clock.advance(AGAIN_SECONDS)
    bench.steps(worker)
    assert set(statuses(bench)) == {"SUCCESSFUL"}
    assert worker.left_behind == 0
    assert told(events) == [("run.held_up", held[0]), ("run.freed", held[0])]


def test_a_lease_that_is_held_up_is_told_once_with_who_holds_the_row_and_once_when_it_is_free(bench: Bench) -> None:
    worker, _, events = bench.worker()
    held, _ = bench.enqueue(1, 2)
    bench.steps(worker)
    with somebody(bench) as other:
        other.execute("SELECT FROM task_runs WHERE id = %s FOR UPDATE", [held])
        for seconds in (10.0, SOON_SECONDS, SOON_SECONDS):
            bench.clock.advance(seconds)
            bench.steps(worker)
        pid = other.info.backend_pid
    assert told(events) == [("run.held_up", held)]
    assert events[-1].fields["by"].startswith(f"the transaction of pid {pid} (somebody), open for ")
    assert events[-1].fields["next"] == (
        f"its lease is renewed when that transaction is over (SELECT pg_terminate_backend({pid}) ends it); "
        "other runs are not held up"
    )
    bench.clock.advance(SOON_SECONDS)
    bench.steps(worker)
    assert told(events)[1:] == [("run.freed", held)]
    assert events[-1].fields == {"id": held, "task": "x.y", "held_up_seconds": 3 * SOON_SECONDS}
    with locked(bench, held):
        bench.clock.advance(10)
        bench.steps(worker)
    assert told(events)[2:] == [("run.held_up", held)], "it begins anew"


def test_only_what_was_passed_over_is_renewed_at_once_and_all_else_keeps_its_heartbeat(bench: Bench) -> None:
    worker, executor, _ = bench.worker()
    held, other = bench.enqueue(1, 2)
    bench.steps(worker)
    asked = bench.stores["w1"].asked

    def renewed() -> list[int]:
        return [len(request.held) for request in asked if isinstance(request, RenewLeases)]

    with locked(bench, held):
        bench.clock.advance(10)
        bench.steps(worker)
        asked.clear()
        for _ in range(20):
            bench.clock.advance(SOON_SECONDS)
            bench.steps(worker)
        assert renewed() == ([1] * 9 + [2]) * 2
        left = "SELECT extract(epoch FROM lease_expires_at - %s)::int FROM task_runs WHERE id = %s"
        assert bench.pg.execute(left, [bench.clock.now(), other]).fetchone() == (30,)
        executor.end_all()
        bench.steps(worker)
    bench.clock.advance(AGAIN_SECONDS)
    bench.steps(worker)
    asked.clear()
    for _ in range(9):
        assert bench.statuses() == {"SUCCESSFUL": 2}
        bench.clock.advance(SOON_SECONDS)
        bench.steps(worker)
    assert renewed() == [0], "what was passed over is held no more: only the heartbeat is left"


def test_the_end_of_a_run_whose_lease_is_held_up_is_no_news(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    (held,) = bench.enqueue(1)
    bench.steps(worker)
    with locked(bench, held):
        bench.clock.advance(10)
        bench.steps(worker)
        executor.end_all()
        bench.steps(worker)
    bench.clock.advance(AGAIN_SECONDS)
    bench.steps(worker)
    assert told(events) == [("run.held_up", held), ("run.freed", held)]


def test_a_lock_of_a_moment_is_not_told(bench: Bench) -> None:
    worker, _, events = bench.worker()
    (held,) = bench.enqueue(1)
    bench.steps(worker)
    bench.clock.advance(10)
    with locked(bench, held):
        worker.step(0)
    for _ in range(3):
        bench.clock.advance(SOON_SECONDS)
        bench.steps(worker)
    assert [request.held for request in bench.stores["w1"].asked if isinstance(request, AskHolders)] != []
    assert told(events) == []


def test_a_row_that_several_share_is_told_without_their_names_when_it_was_passed_over_again(bench: Bench) -> None:
    worker, _, events = bench.worker()
    (held,) = bench.enqueue(1)
    bench.steps(worker)
    with somebody(bench) as one, somebody(bench) as other:
        for connection in (one, other):
            connection.execute("SELECT FROM task_runs WHERE id = %s FOR SHARE", [held])
        bench.clock.advance(10)
        bench.steps(worker)
        assert told(events) == []
        bench.clock.advance(SOON_SECONDS)
        bench.steps(worker)
    assert told(events) == [("run.held_up", held)]
    assert events[-1].fields["by"] == "a transaction that locks its row"


def test_what_nobody_was_asked_about_any_more_is_told_at_the_end(bench: Bench) -> None:
    worker, _, events = bench.worker()
    (held,) = bench.enqueue(1)
    bench.steps(worker)
    with locked(bench, held):
        worker.close()
        bench.workers.remove(worker)
    assert told(events) == [("run.held_up", held)]
    assert "worker.left_behind" in [event.name for event in events]


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


def test_a_worker_that_drains_says_how_many_it_waits_for_and_waits_for_the_row(bench: Bench) -> None:
    worker, executor, events = bench.worker()
    (held, *_) = bench.enqueue(1)
    bench.steps(worker)
    with locked(bench, held):
        executor.end_all()
        bench.steps(worker)
        bench.enqueue(2)
        bench.clock.advance(1)
        bench.steps(worker)
        worker.drain()
        ((running, held_up),) = [
            (event.fields["running"], event.fields["held_up"]) for event in events if event.name == "worker.draining"
        ]
        assert (running, held_up) == (1, 1)
        executor.end_all()
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
