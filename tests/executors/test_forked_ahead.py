"""Children that are forked ahead: when, and what they do while they wait: a made-up run that nobody notices."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reproq.child import kernel
from reproq.child.run import read_frame
from reproq.executors.fork import ForkExecutor
from reproq.frames import frame
from reproq.lifecycle import Release, Success
from tests.executors.driver import Driver, payload, waiting

Make = Callable[..., Driver]
AT_ONCE_SECONDS = 0.001
NEVER = 0.0


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "rehearsed"


def spares(driver: Driver) -> int:
    """How many children wait, or have been asked for to wait."""
    assert isinstance(driver.executor, ForkExecutor)
    return len(driver.executor._brood.spares)


def warm(driver: Driver, marker: Path) -> int:
    """The pid of a child that waits and has begun to rehearse."""
    driver.until(lambda: marker.exists() and set(map(int, marker.read_text().split())) >= set(waiting(driver)) != set())
    return waiting(driver)[0]


@pytest.mark.parametrize("task", ["leaks_everything", "draws", "environment"])
def test_a_run_cannot_tell_a_child_that_has_rehearsed_from_one_that_has_not(
    fork: Make, marker: Path, task: str
) -> None:
    setup, extra = "tasks:setup_with_a_rehearsal", {"REPROQ_TEST_MARKER": str(marker)}
    rehearsed, cold = (fork(setup, forks_ahead=1, idle_seconds=idle, extra=extra) for idle in (AT_ONCE_SECONDS, NEVER))
    pid = warm(rehearsed, marker)
    cold.until(lambda: len(waiting(cold)) == 1)
    never = waiting(cold)[0]
    in_rehearsed, in_cold = rehearsed.run(task), cold.run(task)
    assert in_rehearsed.outcome == in_cold.outcome
    assert isinstance(in_cold.outcome, Success)
    assert in_rehearsed.output.bytes_total == 0
    noted = marker.read_text().split()
    assert (noted.count(str(pid)), noted.count(str(never))) == (1, 0)


def test_the_run_is_in_the_child_that_has_rehearsed(fork: Make, marker: Path) -> None:
    extra = {"REPROQ_TEST_MARKER": str(marker)}
    driver = fork("tasks:setup_with_a_rehearsal", forks_ahead=1, idle_seconds=AT_ONCE_SECONDS, extra=extra)
    pid = warm(driver, marker)
    assert driver.run("own_pid").outcome == Success(str(pid))


def test_a_rehearsal_that_fails_costs_no_run(fork: Make, marker: Path) -> None:
    extra = {"REPROQ_TEST_MARKER": str(marker)}
    driver = fork("tasks:setup_with_a_rehearsal_that_fails", forks_ahead=1, idle_seconds=AT_ONCE_SECONDS, extra=extra)
    pid = warm(driver, marker)
    assert driver.run("own_pid").outcome == Success(str(pid))


def test_a_payload_that_comes_during_the_rehearsal_is_run(fork: Make, marker: Path) -> None:
    extra = {"REPROQ_TEST_MARKER": str(marker)}
    setup = "tasks:setup_with_a_rehearsal_that_takes_a_while"
    driver = fork(setup, forks_ahead=1, idle_seconds=AT_ONCE_SECONDS, extra=extra)
    pid = warm(driver, marker)
    key = driver.submit(payload("tasks.own_pid"))
    Path(f"{marker}.end").read_text()
    assert driver.wait(key)[0].outcome == Success(str(pid))


def test_the_next_child_is_forked_when_a_run_has_ended_and_not_while_it_begins(fork: Make) -> None:
    driver = fork(concurrency=2, forks_ahead=2)
    driver.until(lambda: len(waiting(driver)) == 2)
    key = driver.submit(payload("tasks.echo", "[1]"))
    assert spares(driver) == 1, "the one that is left is enough for the one run that could begin beside this"
    driver.wait(key)
    assert spares(driver) == 2


def test_the_next_child_is_forked_at_once_where_a_run_waits_for_it(fork: Make) -> None:
    driver = fork(concurrency=1, forks_ahead=1)
    driver.until(lambda: len(waiting(driver)) == 1)
    first = driver.submit(payload("tasks.sleeps", "[600]"))
    assert spares(driver) == 0
    second = driver.submit(payload("tasks.echo", "[1]"))
    assert spares(driver) == 1
    driver.executor.stop(first, Release("drain", started=True))
    driver.wait(first, second)


def test_the_next_child_is_forked_at_once_where_more_runs_could_begin_than_children_wait(fork: Make) -> None:
    driver = fork(concurrency=3, forks_ahead=1)
    driver.until(lambda: len(waiting(driver)) == 1)
    key = driver.submit(payload("tasks.echo", "[1]"))
    assert spares(driver) == 1
    driver.wait(key)


def test_children_that_die_while_nothing_runs_are_replaced_and_that_is_told(
    fork: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproq.executors.restarts.RESTART_SECONDS", AT_ONCE_SECONDS)
    driver = fork(forks_ahead=2)
    driver.until(lambda: len(waiting(driver)) == 2)
    before = set(waiting(driver))
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    driver.until(lambda: len(waiting(driver)) == 2 and not before & set(waiting(driver)))
    assert driver.notices[0].startswith("a child that waited for a run died: the child was killed by SIGKILL")
    assert driver.run("echo", "[1]").outcome == Success("1")


def test_a_child_that_dies_at_once_again_is_replaced_later(fork: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reproq.executors.restarts.RESTART_SECONDS", 0.05)
    driver = fork(forks_ahead=1)
    for wait_seconds in (0.05, 0.1):
        driver.until(lambda: len(waiting(driver)) == 1)
        killed_s = time.monotonic()
        os.kill(before := waiting(driver)[0], signal.SIGKILL)
        driver.until(lambda before=before: waiting(driver) not in ([], [before]))
        assert time.monotonic() - killed_s >= wait_seconds
    assert [notice.rpartition("; ")[2] for notice in driver.notices] == [
        "another is forked in 0.05 s",
        "another is forked in 0.1 s",
    ]


def test_a_payload_in_pieces_is_waited_for_and_what_is_done_meanwhile_is_done_once() -> None:
    ours, theirs = socket.socketpair()
    kernel.bound_wait(theirs, AT_ONCE_SECONDS)
    first, second = frame(b"x" * 1000)[:500], frame(b"x" * 1000)[500:]
    done: list[str] = []
    came = threading.Event()

    def idle() -> None:
        done.append("idle")
        ours.send(first)
        came.set()

    def send_the_rest() -> None:
        came.wait()
        ours.send(second)

    rest = threading.Thread(target=send_the_rest)
    rest.start()
    with ours, theirs:
        assert read_frame(theirs.fileno(), idle) == b"x" * 1000
    rest.join()
    assert done == ["idle"]


def test_a_child_that_was_warmed_hears_at_once_that_no_payload_will_come() -> None:
    ours, theirs = socket.socketpair()
    kernel.bound_wait(theirs, AT_ONCE_SECONDS)
    with theirs:
        assert read_frame(theirs.fileno(), ours.close) is None
