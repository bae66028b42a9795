"""When a worker asks to be woken, and what it does when it is: stepped by hand, on one clock."""

import psycopg
import pytest

from reproq.store.requests import ClaimRuns, ListQueues, SayIdle
from tests.loops.conftest import Bench, HandEar


def idle_queues(pg: psycopg.Connection) -> list[str]:
    return pg.execute("SELECT idle_queues FROM reproq_workers").fetchone()[0]


def kinds(bench: Bench) -> list[type]:
    """What the worker asked since the last look, of claims and what concerns them."""
    asked = bench.stores["w1"].asked
    kept = [type(request) for request in asked if isinstance(request, ClaimRuns | ListQueues | SayIdle)]
    asked.clear()
    return kept


@pytest.fixture
def ear() -> HandEar:
    return HandEar()


def test_a_worker_that_finds_nothing_says_idle_and_claims_once_more_before_it_waits(bench: Bench, ear: HandEar) -> None:
    worker, _, _ = bench.worker(ear=ear, queues=("default", "mail"))
    bench.steps(worker, 10)
    assert kinds(bench) == [ClaimRuns, SayIdle, ClaimRuns]
    assert idle_queues(bench.pg) == ["default", "mail"]


def test_a_run_that_came_before_it_said_idle_is_found_without_being_told(bench: Bench, ear: HandEar) -> None:
    worker, executor, _ = bench.worker(ear=ear)
    bench.steps(worker, 2)
    bench.enqueue(1)  # its producer looked before the worker had said anything
    bench.steps(worker)
    assert len(executor.payloads) == 1


def test_a_named_queue_is_claimed_from_at_once(bench: Bench, ear: HandEar) -> None:
    worker, executor, _ = bench.worker(ear=ear)
    bench.steps(worker, 10)
    bench.enqueue(1)
    bench.steps(worker)
    assert not executor.payloads
    ear.heard.append("default")
    bench.steps(worker)
    assert len(executor.payloads) == 1


def test_a_queue_of_others_wakes_nobody(bench: Bench, ear: HandEar) -> None:
    worker, _, _ = bench.worker(ear=ear)
    bench.steps(worker, 10)
    kinds(bench)
    ear.heard.append("mail")
    bench.steps(worker)
    assert kinds(bench) == []


def test_a_worker_of_all_queues_learns_the_name_of_a_new_one(bench: Bench, ear: HandEar) -> None:
    worker, executor, _ = bench.worker(ear=ear, queues=("*",), exclude_queues=("slow",))
    bench.steps(worker, 10)
    assert idle_queues(bench.pg) == ["*"]
    kinds(bench)
    bench.enqueue(1, queue_name="new")
    ear.heard += ["slow", "new"]
    bench.steps(worker)
    assert kinds(bench) == [ListQueues, ClaimRuns]
    assert len(executor.payloads) == 1


def test_what_it_hears_while_a_claim_is_on_its_way_is_claimed_after_it(bench: Bench, ear: HandEar) -> None:
    worker, _, _ = bench.worker(ear=ear)
    bench.steps(worker, 10)
    kinds(bench)
    store = bench.stores["w1"]
    store.cut = True
    ear.heard.append("default")
    bench.steps(worker)
    ear.heard.append("default")
    bench.steps(worker)
    store.mend()
    bench.steps(worker)
    assert kinds(bench) == [ClaimRuns, ClaimRuns]


def test_runs_that_come_one_by_one_cost_one_claim_each_and_no_write_to_the_workers_row(
    bench: Bench, ear: HandEar
) -> None:
    worker, executor, _ = bench.worker(ear=ear)
    bench.steps(worker, 10)
    kinds(bench)
    for number in range(5):
        bench.clock.advance(0.05)
        bench.enqueue(number)
        ear.heard.append("default")
        bench.steps(worker)
        executor.end_all()
        bench.steps(worker)
    assert kinds(bench) == [ClaimRuns] * 5
    assert idle_queues(bench.pg) == ["default"]


def test_under_load_it_takes_the_word_back_and_gives_it_again_when_the_load_is_over(bench: Bench, ear: HandEar) -> None:
    worker, executor, _ = bench.worker(ear=ear, concurrency=10)
    bench.steps(worker, 10)
    kinds(bench)
    for number in range(50):
        bench.clock.advance(0.005)
        bench.enqueue(number)
        ear.heard.append("default")
        bench.steps(worker)
        executor.end_all()
        bench.steps(worker)
    assert idle_queues(bench.pg) == []
    assert kinds(bench).count(SayIdle) == 1
    for _ in range(20):
        bench.clock.advance(0.005)
        bench.steps(worker)
    assert idle_queues(bench.pg) == ["default"]
    asked = kinds(bench)
    assert asked[-2:] == [SayIdle, ClaimRuns]
    assert asked.count(SayIdle) == 1


def test_a_worker_without_room_for_long_is_not_woken_and_looks_when_it_has_some(bench: Bench, ear: HandEar) -> None:
    worker, executor, _ = bench.worker(ear=ear, concurrency=1)
    bench.steps(worker, 10)
    bench.enqueue(1)
    ear.heard.append("default")
    bench.steps(worker)
    assert idle_queues(bench.pg) == ["default"]
    bench.clock.advance(0.6)
    bench.steps(worker)
    assert idle_queues(bench.pg) == []
    bench.enqueue(2)
    executor.end_all()
    bench.steps(worker)
    assert len(executor.payloads) == 1


def test_a_worker_that_cannot_hear_says_nothing_and_polls(bench: Bench, ear: HandEar) -> None:
    ear.hears = 0
    worker, executor, _ = bench.worker(ear=ear)
    bench.steps(worker, 10)
    assert kinds(bench) == [ClaimRuns]
    bench.enqueue(1)
    bench.clock.advance(1.1)
    bench.steps(worker)
    assert len(executor.payloads) == 1


def test_when_it_hears_again_it_looks_for_what_it_has_missed(bench: Bench, ear: HandEar) -> None:
    worker, executor, _ = bench.worker(ear=ear)
    bench.steps(worker, 10)
    ear.hears = 0
    bench.steps(worker)
    bench.enqueue(1)
    ear.hears = 2
    bench.steps(worker)
    assert len(executor.payloads) == 1


def test_a_row_that_was_written_anew_is_told_again(bench: Bench, ear: HandEar) -> None:
    worker, _, _ = bench.worker(ear=ear)
    bench.steps(worker, 10)
    bench.pg.execute("DELETE FROM reproq_workers")
    bench.clock.advance(10.1)
    bench.steps(worker, 10)
    bench.clock.advance(1.1)
    bench.steps(worker, 10)
    assert idle_queues(bench.pg) == ["default"]


def test_a_word_that_came_late_to_a_row_written_anew_is_taken_back_under_load(bench: Bench, ear: HandEar) -> None:
    """Two connections: what was said before may be committed behind the new row, which then says idle."""
    worker, executor, _ = bench.worker(ear=ear, concurrency=10)
    bench.steps(worker, 10)
    bench.pg.execute("DELETE FROM reproq_workers")
    bench.enqueue(1)
    bench.clock.advance(10.0)
    bench.steps(worker, 2)  # the renewal finds no row, and it is written
    bench.pg.execute("UPDATE reproq_workers SET idle_queues = '{default}'")
    for number in range(3):
        bench.clock.advance(0.005)
        bench.enqueue(2 + number)
        ear.heard.append("default")
        bench.steps(worker)
        executor.end_all()
        bench.steps(worker)
    assert idle_queues(bench.pg) == []
