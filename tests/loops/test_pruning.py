"""The worker's duty to prune: when it looks, how it rests, and what it tells."""

import time

from reproq.retention import retention
from reproq.store.retention import BATCH, Position, PruneAnswer, PruneRuns
from reproq.worker.pruning import FROM_THE_START_SECONDS, REFUSED_SECONDS
from tests.loops.conftest import Bench

DAY = 86_400.0
LOOK_SECONDS = 60.0  # the default of prune_interval
ALL_AT_A_DAY = retention("1d")


def asked(bench: Bench, name: str = "w1") -> list[PruneRuns]:
    return [request for request in bench.stores[name].asked if isinstance(request, PruneRuns)]


def test_runs_are_deleted_when_their_age_is_up_and_the_log_says_how_many(bench: Bench) -> None:
    worker, executor, events = bench.worker(retention=ALL_AT_A_DAY)
    bench.enqueue(1, 2, 3)
    bench.steps(worker)
    for key in list(executor.payloads):
        executor.end(key, at=time.monotonic())  # the store reckons from there back to the end
    bench.steps(worker)
    bench.clock.advance(DAY - LOOK_SECONDS)
    bench.steps(worker)
    assert bench.statuses() == {"SUCCESSFUL": 3}
    bench.clock.advance(4 * LOOK_SECONDS)
    bench.steps(worker)
    assert bench.statuses() == {}
    told = [event.fields["runs"] for event in events if event.name == "runs.pruned"]
    assert told == [3]


def test_nothing_is_asked_where_everything_is_kept(bench: Bench) -> None:
    worker, _, _ = bench.worker(retention=retention("off"))
    bench.clock.advance(DAY)
    bench.steps(worker)
    assert not asked(bench)


def test_the_first_look_and_those_after_it_come_at_drawn_moments(bench: Bench) -> None:
    worker, _, _ = bench.worker(retention=ALL_AT_A_DAY)  # its draws are 0.5
    bench.clock.advance(0.5 * LOOK_SECONDS - 1)
    bench.steps(worker)
    assert not asked(bench)
    bench.clock.advance(1)
    bench.steps(worker)
    assert len(asked(bench)) == 1
    bench.clock.advance(LOOK_SECONDS - 1)
    bench.steps(worker)
    assert len(asked(bench)) == 1
    bench.clock.advance(1)
    bench.steps(worker)
    assert len(asked(bench)) == 2


def test_a_full_look_is_followed_by_a_rest_of_nine_times_as_long(bench: Bench) -> None:
    worker, _, _ = bench.worker(retention=ALL_AT_A_DAY)
    pruning = worker._pruning
    now = LOOK_SECONDS + bench.clock.seconds
    first = next(pruning.requests(now))
    further = Position(first.position.finished_at, 77)
    pruning.on_pruned(PruneAnswer(further, BATCH, BATCH, took_seconds=0.02), now)
    assert list(pruning.moments()) == [now + 9 * 0.02]
    assert not list(pruning.requests(now + 0.17))
    second = next(pruning.requests(now + 0.18))
    assert second.position == further


def test_each_rule_has_its_turn_and_goes_on_where_it_stood(bench: Bench) -> None:
    worker, _, _ = bench.worker(retention=retention("successful=1d,failed=2d"))
    pruning = worker._pruning
    now = LOOK_SECONDS + bench.clock.seconds
    ages, ids = [], []
    for number in range(4):
        request = next(pruning.requests(now))
        ages.append(request.rule.age_seconds / DAY)
        ids.append(request.position.run_id)
        pruning.on_pruned(PruneAnswer(Position(request.position.finished_at, 10 + number), 1, 1), now)
        now += 2 * LOOK_SECONDS
    assert (ages, ids) == ([1, 2, 1, 2], [0, 0, 10, 11])


def test_once_a_day_a_walk_begins_at_the_oldest_run_again(bench: Bench) -> None:
    worker, _, _ = bench.worker(retention=ALL_AT_A_DAY)
    pruning = worker._pruning
    now = LOOK_SECONDS + bench.clock.seconds
    first = next(pruning.requests(now))
    pruning.on_pruned(PruneAnswer(Position(first.position.finished_at, 5), 1, 1), now)
    later = next(pruning.requests(now + FROM_THE_START_SECONDS))
    assert later.position == first.position


def test_who_comes_second_looks_again_later(bench: Bench) -> None:
    worker, _, _ = bench.worker(retention=ALL_AT_A_DAY)
    pruning = worker._pruning
    now = LOOK_SECONDS + bench.clock.seconds
    request = next(pruning.requests(now))
    pruning.on_pruned(PruneAnswer(request.position, is_ours=False), now)
    assert list(pruning.moments()) == [now + LOOK_SECONDS]


def test_a_refusal_is_told_and_the_worker_goes_on(bench: Bench) -> None:
    worker, _, events = bench.worker(retention=ALL_AT_A_DAY)
    pruning = worker._pruning
    now = LOOK_SECONDS + bench.clock.seconds
    request = next(pruning.requests(now))
    pruning.on_pruned(PruneAnswer(request.position, refusal="permission denied for table task_runs"), now)
    assert events[-1].name == "prune.refused"
    assert list(pruning.moments()) == [now + REFUSED_SECONDS]
