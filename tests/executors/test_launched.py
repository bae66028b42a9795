"""The executors whose processes the worker starts itself: nothing outlasts a run, nor a killed worker."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from reproq.child import kernel
from reproq.child.guard import kill_marked
from reproq.child.kernel import children_of
from reproq.executors.launched import LaunchedExecutor
from reproq.executors.orphans import QUIET_SWEEPS, Adopted, OrphanSweep
from reproq.lifecycle import Release, Success
from tests.acceptance.workers import wait_for
from tests.executors.conftest import HERE, SOURCES, make_spawn
from tests.executors.descriptors import only
from tests.executors.driver import Driver, alive, is_gone, open_descriptors, payload
from tests.executors.test_template import wait_until_dead
from tests.plugins.bare import BARE_ENVIRONMENT


@pytest.fixture
def driver() -> Iterator[Driver]:
    made = Driver(make_spawn())
    yield made
    made.close()


def guard_of(driver: Driver) -> int:
    assert isinstance(driver.executor, LaunchedExecutor)
    assert driver.executor.guard_pid is not None
    return driver.executor.guard_pid


def family_of(driver: Driver, folder: Path) -> tuple[tuple[int, int], list[int]]:
    """A run under way: its claim, and the pids of itself and of all that descends from it."""
    file = folder / "pids"
    key = driver.submit(payload("tasks.family", f'["{file}"]'))
    driver.until(file.exists)
    return key, json.loads(file.read_text())


def test_looking_for_what_a_run_left_behind_comes_to_an_end(driver: Driver, tmp_path: Path) -> None:
    key, family = family_of(driver, tmp_path)
    os.kill(family[0], signal.SIGKILL)
    driver.wait(key)
    driver.until(lambda: driver.executor.deadline() is None)


def test_a_neighbour_survives_the_end_of_a_run(driver: Driver, tmp_path: Path) -> None:
    neighbour = driver.submit(payload("tasks.sleeps", "[600]"))
    key, family = family_of(driver, tmp_path)
    driver.executor.stop(key, Release("drain", started=True))
    driver.wait(key)
    driver.until(lambda: all(is_gone(pid) for pid in family))
    assert neighbour not in driver.ended


def test_a_zombie_in_a_session_of_its_own_is_reaped(driver: Driver) -> None:
    before = set(children_of(os.getpid()))
    code = "import os, time; os.fork() or (os.setsid(), os._exit(0)); time.sleep(0.3)"
    driver.run("runs", json.dumps([[sys.executable, "-c", code]]))
    driver.until(lambda: set(children_of(os.getpid())) <= before)  # of those before, one may have been reaped, too


def test_closing_kills_all_that_runs_and_says_so(driver: Driver, tmp_path: Path) -> None:
    key, family = family_of(driver, tmp_path)
    guard = guard_of(driver)
    driver.executor.close()
    driver.executor.close()
    (ended,) = driver.executor.take_ended()
    assert (ended.key, ended.outcome) == (key, Release("the executor was closed", started=True))
    assert [pid for pid in [guard, *family] if not is_gone(pid)] == []


def test_a_dead_guard_is_replaced_with_the_next_run(driver: Driver) -> None:
    first = guard_of(driver)
    os.kill(first, signal.SIGKILL)
    driver.until(lambda: not alive(first))
    assert driver.run("echo", "[1]").outcome == Success("1")
    assert guard_of(driver) != first


def ignores_term(pid: int) -> bool:
    (mask,) = re.findall(r"^SigIgn:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(mask, 16) & 1 << (signal.SIGTERM - 1))


@pytest.mark.lesson("children-that-survive-a-killed-worker")
@pytest.mark.parametrize("group", [False, True], ids=["killed", "terminated with its guard"])
def test_nothing_survives_a_killed_worker(tmp_path: Path, group: bool) -> None:
    file = tmp_path / "pids"
    paths = os.pathsep.join([str(SOURCES), str(HERE.parent.parent), str(HERE)])
    env = BARE_ENVIRONMENT | {"PYTHONPATH": paths}
    command = [sys.executable, "-m", "tests.executors.worker", str(file), "spawn"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stdout is not None
        guard = int(process.stdout.readline())
        everyone = [process.pid, guard, *json.loads(file.read_text())]
        assert all(alive(pid) for pid in everyone)
        if group:
            wait_for("the guard to ignore TERM", lambda: ignores_term(guard))
            os.kill(guard, signal.SIGTERM)  # as systemd does; it stays
        process.kill()
        left = wait_until_dead(everyone)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert left == []


@pytest.fixture
def spawn() -> Iterator[Callable[..., Driver]]:
    made: list[Driver] = []

    def make(**options: object) -> Driver:
        made.append(Driver(make_spawn(**options)))
        return made[-1]

    yield make
    for driver in made:
        driver.close()


def test_without_a_descriptor_to_look_with_nobody_is_reaped_and_a_later_look_finds_them() -> None:
    """As a worker is told whenever a child of its own ends: it would end of that."""
    started = [subprocess.Popen(["sleep", "600"])]
    adopted, sweep = Adopted(), OrphanSweep("REPROQ_TEST=1", set(), 0.0)
    started.append(subprocess.Popen(["sleep", "600"]))
    try:
        with only(0):
            adopted.reap(set())
            sweep.sweep(0.0)
        assert adopted.known_to_nobody(set()) == {started[1].pid}, "what was there before is still known"
    finally:
        for process in started:
            process.kill()
            process.wait()
    for _ in range(QUIET_SWEEPS):
        assert not sweep.is_over
        sweep.sweep(0.0)
    assert sweep.is_over


@pytest.mark.parametrize("look", [kernel.session_of, partial(kernel.has_in_environment, entry=b"REPROQ_TEST=1")])
def test_without_a_descriptor_to_look_with_nothing_is_said_of_a_process(look: Callable[[int], object]) -> None:
    """A sweep that took it for a no would be over before what it is for."""
    with only(0), pytest.raises(OSError, match="Too many open files"):
        look(os.getpid())
    assert not look(2**22 + 1), "no process can have this number"


def test_a_guard_without_a_descriptor_to_look_with_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with marked() as process, ExitStack() as without:
        monkeypatch.setattr("reproq.child.guard.time.sleep", lambda seconds: without.close())
        without.enter_context(only(0))
        kill_marked(b"REPROQ_TEST=1")
        without.close()
        assert process.wait(10) == -signal.SIGKILL


def test_a_guard_kills_also_what_has_no_environment_at_its_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a program that the worker was about to start when it was killed: it is in the middle of its exec."""
    looks: list[int] = []

    def has(pid: int, entry: bytes) -> bool:
        return len(looks) > 0 and in_environment(pid, entry)

    in_environment = kernel.has_in_environment
    with marked() as process:
        monkeypatch.setattr(kernel, "has_in_environment", has)
        monkeypatch.setattr("reproq.child.guard.time.sleep", looks.append)
        kill_marked(b"REPROQ_TEST=1")
        assert process.wait(10) == -signal.SIGKILL


def test_what_may_not_be_killed_is_looked_for_later_and_later_and_what_is_new_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a daemon that a run has started with another user's rights: it may stay for years."""
    monkeypatch.setattr("reproq.child.kernel.kill_quietly", lambda *arguments: None)
    with marked() as first:
        sweep = OrphanSweep("REPROQ_TEST=1", set(), 0.0)
        assert pauses_of(sweep, 9) == [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0]
        with marked():
            assert pauses_of(sweep, 2) == [0.02, 0.04]
        assert pauses_of(sweep, 2) == [0.02, 0.04]
        first.kill()
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
        sweep.sweep(0.0)
        assert pauses_of(sweep, QUIET_SWEEPS) == [0.02] * QUIET_SWEEPS
        assert sweep.is_over


@contextmanager
def marked() -> Iterator["subprocess.Popen[bytes]"]:
    """A child of ours that bears the mark."""
    process = subprocess.Popen(["/bin/sleep", "600"], env={"REPROQ_TEST": "1"})
    while not kernel.has_in_environment(process.pid, b"REPROQ_TEST=1"):
        pass  # Popen returns in the middle of the exec
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def pauses_of(sweep: OrphanSweep, looks: int) -> list[float]:
    """How long it waits after each of so many looks."""
    found = []
    for _ in range(looks):
        before = sweep.due_at
        sweep.sweep(before)
        found.append(round(sweep.due_at - before, 6))
    return found


def test_a_run_that_gets_no_process_is_given_back_and_none_is_taken_for_a_moment(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once it would come again, and be given back again, as fast as the database answers."""
    monkeypatch.setattr("reproq.executors.defaults.PAUSE_SECONDS", 0.5)
    before = open_descriptors(driver)
    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen", no_process_is_left)
        ended = driver.wait(driver.submit(payload("tasks.echo", "[1]")))[0]
    assert ended.outcome == Release("the worker could not start a process: no process is left", started=False)
    assert not driver.executor.ready
    assert open_descriptors(driver) == before
    driver.wait_ready()
    assert driver.run("echo", "[1]").outcome == Success("1")
    driver.until(lambda: driver.executor.deadline() is None)


def no_process_is_left(*arguments: object, **options: object) -> None:
    raise OSError("no process is left")


def test_limits_are_kept(spawn: Callable[..., Driver]) -> None:
    driver = spawn(output_bytes=100, max_return_bytes=1000)
    ended = driver.run("floods", "[4096]")
    assert len(ended.output.head) + len(ended.output.tail) == 100
    assert "over the bound of 1,000" in str(driver.run("returns", '["large"]').outcome)
