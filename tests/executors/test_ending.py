"""How a process ended is told apart, and nothing outlasts its timeout."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from reproq.child import kernel
from reproq.executors import Executor, member
from reproq.executors.children import timed_out
from reproq.lifecycle import Failure, Key, Kind, Outcome, Release, Success
from tests.executors.conftest import make_fork, make_pool, make_spawn
from tests.executors.driver import PATIENCE_SECONDS, Driver, is_gone, open_descriptors, payload


def failure_of(outcome: object) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


@pytest.mark.lesson("each-way-to-die-has-its-own-error")
@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("segfault", "killed by SIGSEGV (Segmentation fault) before it replied"),
        ("abort", "killed by SIGABRT (Aborted) before it replied"),
        ("exit", "exited with code 3 before it replied"),
        ("kill", "killed by SIGKILL (Killed) before it replied (out of memory? see dmesg)"),
        ("usr1", "killed by SIGUSR1"),
    ],
)
def test_each_way_to_die_is_told_apart(ours: Driver, how: str, text: str) -> None:
    failure = failure_of(ours.run("dies", f'["{how}"]').outcome)
    assert (failure.kind, failure.exception_class) == (Kind.CHILD_DIED, "reproq.errors.ChildDied")
    assert text in failure.message
    assert failure.message.endswith("the last it printed:\nlast words")


def test_an_exit_without_a_reply_breaks_the_protocol(ours: Driver) -> None:
    failure = failure_of(ours.run("dies", '["exit0"]').outcome)
    assert (failure.kind, failure.exception_class) == (Kind.BAD_REPLY, "reproq.errors.BadReply")
    assert "exited with code 0 without a reply" in failure.message


@pytest.mark.parametrize(("task", "seconds"), [("sleeps", 0.2), ("busy", 0.2), ("ignores_term", 0.3)])
def test_a_run_past_its_timeout_is_killed(tasks: Driver, task: str, seconds: float) -> None:
    ended = tasks.run(task, timeout_seconds=seconds)
    failure = failure_of(ended.outcome)
    assert (failure.kind, failure.exception_class) == (Kind.TIMEOUT, "reproq.errors.RunTimedOut")
    assert f"its timeout of {seconds:g} s" in failure.message
    assert ended.started_s is not None
    assert seconds <= ended.ended_s - ended.started_s, "of ten minutes, or of no end at all"


def out_of_time(driver: Driver, task: str, folder: Path) -> Outcome:
    """How a run ends that hears TERM, and is stopped as one whose time is over; its grace is as long as it likes."""
    marker = folder / "hears"
    key = driver.submit(payload(f"tasks.{task}", json.dumps([str(marker)])))
    driver.until(marker.exists)
    driver.executor.stop(key, timed_out(1.0), PATIENCE_SECONDS)
    return driver.wait(key)[0].outcome


def test_a_success_within_the_grace_is_not_thrown_away(tasks: Driver, tmp_path: Path) -> None:
    assert out_of_time(tasks, "finishes_on_term", tmp_path) == Success('"finished in time"')


def test_a_failure_that_term_has_made_is_told_as_the_timeout(tasks: Driver, tmp_path: Path) -> None:
    assert failure_of(out_of_time(tasks, "raises_on_term", tmp_path)).kind == Kind.TIMEOUT


def test_a_run_can_be_stopped_while_it_runs(tasks: Driver, tmp_path: os.PathLike[str]) -> None:
    file = os.path.join(tmp_path, "pids")
    key = tasks.submit(payload("tasks.family", f'["{file}"]'))
    tasks.until(lambda: os.path.exists(file))
    tasks.executor.stop(key, Release("drain", started=True))
    assert tasks.wait(key)[0].outcome == Release("drain", started=True)


@pytest.mark.lesson("grandchildren-keep-the-pipe-open-and-pin-the-slot")
def test_a_grandchild_that_holds_the_pipes_does_not_delay_the_end(tasks: Driver) -> None:
    before = time.monotonic()
    assert isinstance(tasks.run("leaves_a_grandchild").outcome, Success)
    assert time.monotonic() - before < 300, "the grandchild sleeps for ten minutes"


def test_a_kill_for_want_of_memory_is_named_when_the_kernel_counted_one(
    ours: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("low 0\noom_kill 0\noom_group_kill 0\n")
    monkeypatch.setattr(kernel, "_oom_file", lambda: counter)
    failure = failure_of(ours.run("is_killed_for_want_of_memory", json.dumps([str(counter)])).outcome)
    assert "killed by SIGKILL (Killed) before it replied (out of memory: the kernel killed it;" in failure.message


@pytest.mark.parametrize("own_session", [False, True])
def test_what_a_run_leaves_behind_ends_with_it(fresh: Driver, own_session: bool) -> None:
    outcome = fresh.run("leaves_a_grandchild", json.dumps([own_session])).outcome
    assert isinstance(outcome, Success)
    fresh.until(lambda: is_gone(int(outcome.return_json)))


def family_of(driver: Driver, folder: Path) -> tuple[Key, list[int]]:
    """A run under way: its claim, and the pids of itself and of all that descends from it."""
    file = folder / "pids"
    key = driver.submit(payload("tasks.family", f'["{file}"]'))
    driver.until(file.exists)
    return key, json.loads(file.read_text())


def test_all_that_descends_from_a_killed_run_ends_with_it(tasks: Driver, tmp_path: Path) -> None:
    key, family = family_of(tasks, tmp_path)
    os.kill(family[0], signal.SIGKILL)
    tasks.wait(key)
    tasks.until(lambda: all(is_gone(pid) for pid in family))


def test_the_family_of_a_neighbour_survives_the_end_of_a_run(tasks: Driver, tmp_path: Path) -> None:
    neighbour, family = family_of(tasks, tmp_path)
    tasks.run("leaves_a_grandchild", "[true]")
    tasks.run("echo", "[1]")
    assert [pid for pid in family if is_gone(pid)] == []
    tasks.executor.stop(neighbour, Release("drain", started=True))
    tasks.wait(neighbour)
    tasks.until(lambda: all(is_gone(pid) for pid in family))


@pytest.mark.parametrize("last", [64])
def test_garbage_in_low_descriptors_harms_nobody(tasks: Driver, last: int) -> None:
    assert tasks.run("garbage", f"[3,{last}]").outcome == Success('"wrote"')


def test_garbage_in_every_descriptor_ends_only_this_run(ours: Driver) -> None:
    neighbour = ours.submit(payload("tasks.sleeps", "[0.5]"))
    failure = failure_of(ours.run("garbage_everywhere").outcome)
    assert failure.kind == Kind.BAD_REPLY
    assert "the child broke the protocol: " in failure.message
    assert "over the bound" in failure.message or "a reply begins with {" in failure.message
    assert ours.wait(neighbour)[0].outcome == Success('"slept"')


@pytest.mark.parametrize("make", [make_fork, make_pool, make_spawn])
def test_a_task_that_closes_every_descriptor_is_a_dead_child(make: Callable[..., Executor]) -> None:
    """It ends by itself, but not at once: a pool would kill it after the grace that the others have here."""
    with closing(Driver(make(kill_grace_seconds=PATIENCE_SECONDS))) as driver:
        failure = failure_of(driver.run("closes_everything").outcome)
    assert failure.kind == Kind.CHILD_DIED
    assert "code 70" in failure.message
    assert "Bad file descriptor" in failure.message


def test_only_the_first_process_answers_when_a_task_forks(tasks: Driver) -> None:
    assert tasks.run("forks").outcome == Success('"parent"')


def test_two_hundred_runs_leak_no_descriptor(light: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member, "LONG_SECONDS", 60.0)  # else a pool may give some back, for being slow at others
    light.wait(*[light.submit(payload("tasks.echo", "[1]")) for _ in range(8)])
    before = open_descriptors(light)
    for _ in range(25):
        ends = light.wait(*[light.submit(payload("tasks.echo", "[1]")) for _ in range(8)])
        assert [ended.outcome for ended in ends] == [Success("1")] * 8
    assert open_descriptors(light) == before
