"""How much a worker claims: what runs at once, and ahead of that what its executor wants."""

from reproq.lifecycle import Release
from reproq.store.requests import ClaimRuns
from tests.loops.conftest import Bench


def test_so_much_is_claimed_ahead_as_the_executor_wants(bench: Bench) -> None:
    worker, executor, _ = bench.worker(concurrency=2)
    executor.wants_ahead = 3
    bench.enqueue(*range(9))
    bench.steps(worker)
    assert len(executor.payloads) == 5
    assert bench.statuses() == {"RUNNING": 5, "READY": 4}


def test_what_is_held_ahead_is_claimed_in_halves(bench: Bench) -> None:
    worker, executor, _ = bench.worker(concurrency=2)
    executor.wants_ahead = 6
    bench.enqueue(*range(20))
    bench.steps(worker)
    asked = bench.stores["w1"].asked
    asked.clear()
    for _ in range(2):
        executor.end(next(iter(executor.payloads)))
        bench.steps(worker)
    assert not [request for request in asked if isinstance(request, ClaimRuns)]
    executor.end(next(iter(executor.payloads)))
    bench.steps(worker)
    assert [request.limit for request in asked if isinstance(request, ClaimRuns)] == [3]


def test_a_run_of_one_attempt_is_not_held_ahead_and_nothing_else_for_a_moment(bench: Bench) -> None:
    worker, executor, _ = bench.worker(concurrency=1)
    executor.wants_ahead = 3
    bench.enqueue(1)
    bench.enqueue(2, 3, max_attempts=1)
    bench.steps(worker, 8)
    assert [payload.args_json for payload in executor.payloads.values()] == ["[1]"]
    assert bench.statuses() == {"RUNNING": 1, "READY": 2}
    query = "SELECT attempts, releases, failures FROM task_runs WHERE status = 'READY'"
    assert bench.pg.execute(query).fetchall() == [(0, 0, 0)] * 2
    executor.end_all()
    bench.steps(worker, 8)
    assert [payload.args_json for payload in executor.payloads.values()] == ["[2]"], "it begins when there is a place"


def test_what_an_executor_gives_back_unbegun_costs_no_attempt(bench: Bench) -> None:
    worker, executor, _ = bench.worker(concurrency=1)
    executor.wants_ahead = 1
    bench.enqueue(1, 2)
    bench.steps(worker)
    executor.wants_ahead = 0
    executor.end(list(executor.payloads)[1], Release("every child is on a long run", started=False), at=None)
    bench.steps(worker, 8)
    assert bench.statuses() == {"RUNNING": 1, "READY": 1}
    assert bench.pg.execute("SELECT attempts FROM task_runs WHERE status = 'READY'").fetchone() == (0,)
