"""What holds for every executor, also for one that runs nothing: the life of a run as the worker sees it."""

import time
from collections.abc import Callable

import pytest

from reproq.executors import Executor
from reproq.lifecycle import Release, Success
from tests.executors.conftest import make_command, make_fork, make_mock
from tests.executors.driver import Driver, payload


def test_a_run_ends_once_with_a_success_and_its_times(driver: Driver) -> None:
    before = time.monotonic()
    ended = driver.run("echo", "[null]")
    assert ended.outcome == Success("null")
    assert ended.started_s is not None
    assert before <= ended.started_s <= ended.ended_s <= time.monotonic()


def test_runs_are_counted_until_they_are_taken(driver: Driver) -> None:
    assert driver.executor.running == 0
    keys = [driver.submit(payload("tasks.echo", "[null]", run_id=number)) for number in range(5)]
    assert driver.executor.running == 5
    driver.wait(*keys)
    assert driver.executor.running == 0


def test_a_run_that_is_stopped_ends_with_the_outcome_it_was_stopped_with(driver: Driver) -> None:
    key = driver.submit(payload("tasks.sleeps", "[600]"))
    driver.executor.stop(key, Release("drain", started=True))
    assert driver.wait(key)[0].outcome == Release("drain", started=True)


def test_stopping_an_unknown_or_ended_run_is_ignored(driver: Driver) -> None:
    key = driver.submit(payload("tasks.echo", "[null]"))
    driver.wait(key)
    driver.executor.stop(key, Release("drain", started=True))
    driver.executor.stop((404, 404), Release("drain", started=True))
    assert driver.executor.running == 0


def test_one_run_may_be_held_under_two_claims_at_once(driver: Driver) -> None:
    older = driver.submit(payload("tasks.sleeps", "[600]", run_id=7))
    newer = driver.submit(payload("tasks.echo", "[null]", run_id=7))
    driver.executor.stop(older, Release("lease lost", started=True))
    first, second = driver.wait(older, newer)
    assert (first.outcome, second.outcome) == (Release("lease lost", started=True), Success("null"))


def test_one_claim_cannot_be_submitted_twice(driver: Driver) -> None:
    key = driver.submit(payload("tasks.echo", "[null]", run_id=8))
    with pytest.raises(ValueError, match="run 8 is running already"):
        driver.executor.submit(key, payload("tasks.echo", "[null]", run_id=8))
    driver.wait(key)


def test_an_idle_executor_has_nothing_due(driver: Driver) -> None:
    driver.run("echo", "[null]")
    driver.until(lambda: driver.executor.deadline() is None)  # children of earlier tests may still be ending


@pytest.mark.parametrize("make", [make_fork, make_mock, lambda: make_command([("others.*", ("true",))])])
def test_what_ended_without_a_process_is_due_at_once(make: Callable[[], Executor]) -> None:
    driver = Driver(make())
    driver.executor.submit((1, 1), payload())
    driver.executor.stop((1, 1), Release("drain", started=False))
    due = driver.executor.deadline()
    assert due is not None
    assert due <= time.monotonic()
    driver.step(0)
    assert (1, 1) in driver.ended
    driver.close()
