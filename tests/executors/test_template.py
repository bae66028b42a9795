"""The template of the fork executor: its import, its warnings, its death, and that nothing outlives its worker."""

import errno
import itertools
import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from reproq.child import kernel
from reproq.child.template import Template
from reproq.errors import ConfigurationError
from reproq.executors.attempt import Attempt
from reproq.executors.fork import ForkExecutor
from reproq.executors.pace import Pace
from reproq.executors.template import Launch, TemplateProcess
from reproq.lifecycle import Key, Release, Success
from tests.acceptance.workers import wait_for
from tests.executors.conftest import HERE, SOURCES
from tests.executors.driver import PATIENCE_SECONDS, Driver, alive, is_gone, payload, waiting
from tests.plugins.bare import BARE_ENVIRONMENT

Make = Callable[..., Driver]


def template_of(driver: Driver) -> int:
    assert isinstance(driver.executor, ForkExecutor)
    assert driver.executor.template_pid is not None
    return driver.executor.template_pid


def halt(pid: int) -> None:
    """Stop a process, and return when it stands still."""
    os.kill(pid, signal.SIGSTOP)
    wait_for("it to stand still", lambda: fields_of(pid)[0] == "T")


def fields_of(pid: int) -> list[str]:
    """What /proc/PID/stat shows behind the name: the state, the parent, and so on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def attempt_of(driver: Driver, key: Key) -> Attempt:
    assert isinstance(driver.executor, ForkExecutor)
    return driver.executor._brood.attempts[key]


def test_a_run_gets_a_child_that_was_forked_before_it_came_and_no_other_run_does(fork: Make) -> None:
    driver = fork(forks_ahead=2)
    seen = []
    for _ in range(3):
        driver.until(lambda: len(waiting(driver)) == 2)
        first = waiting(driver)[0]
        outcome = driver.run("own_pid").outcome
        assert outcome == Success(str(first))
        seen.append(first)
    assert len(set(seen)) == 3
    driver.until(lambda: all(is_gone(pid) for pid in seen))


def test_nothing_that_a_run_leaves_behind_is_seen_by_the_next(fork: Make) -> None:
    driver = fork(forks_ahead=2)
    outcomes = [driver.run("leaks_everything").outcome for _ in range(5)]
    found = [json.loads(outcome.return_json) for outcome in outcomes if isinstance(outcome, Success)]
    assert len(found) == 5, outcomes
    untouched = {"globals": [], "cwd": os.getcwd(), "handler": True, "mask": 0, "threads": 1, "modules": False}
    assert {name: found[0][name] for name in untouched} == untouched
    assert "LEFT_BEHIND" not in found[0]["environment"]
    assert {name: [one[name] for one in found] for name in found[0]} == {
        name: [found[0][name]] * 5 for name in found[0]
    }


def test_a_child_that_died_while_it_waited_costs_no_run(fork: Make) -> None:
    driver = fork(forks_ahead=1)
    driver.until(lambda: len(waiting(driver)) == 1)
    os.kill(dead := waiting(driver)[0], signal.SIGKILL)
    while alive(dead):
        pass  # without a step: the executor is to see it by itself
    ended = driver.run("echo", "[1]")
    assert ended.outcome == Success("1")
    driver.until(lambda: is_gone(dead))


def test_a_flood_of_runs_passes_through_children_that_were_forked_ahead(fork: Make) -> None:
    driver = fork(forks_ahead=2)
    keys = [driver.submit(payload("tasks.echo", "[1]", run_id=number)) for number in range(50)]
    assert {ended.outcome for ended in driver.wait(*keys)} == {Success("1")}


def test_children_that_wait_end_with_their_template_and_others_wait_for_the_next_run(fork: Make) -> None:
    driver = fork(forks_ahead=2)
    driver.until(lambda: len(waiting(driver)) == 2)
    before = waiting(driver)
    os.kill(template_of(driver), signal.SIGKILL)
    driver.until(lambda: any("0 of its runs were under way" in notice for notice in driver.notices))
    driver.until(lambda: not any(alive(pid) for pid in before))
    assert driver.run("echo", "[1]").outcome == Success("1")


def test_closing_ends_the_children_that_wait(fork: Make) -> None:
    driver = fork(forks_ahead=2)
    driver.until(lambda: len(waiting(driver)) == 2)
    before = waiting(driver)
    driver.executor.close()
    assert not any(alive(pid) for pid in before)


def test_a_run_stopped_before_its_child_is_there_never_starts(fork: Make) -> None:
    driver = fork(forks_ahead=1)
    assert not driver.executor.ready
    key = driver.submit(payload("tasks.echo", "[1]"))
    driver.executor.stop(key, Release("changed our mind", started=False))
    assert driver.wait(key)[0].outcome == Release("changed our mind", started=False)


def test_runs_wait_for_the_template_to_be_ready(fork: Make) -> None:
    driver = fork()
    assert not driver.executor.ready
    assert driver.run("echo", "[1]").outcome == Success("1")
    assert driver.executor.ready


def test_a_run_that_gets_no_process_is_given_back_and_none_is_taken_for_a_moment(
    fork: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproq.executors.defaults.PAUSE_SECONDS", PATIENCE_SECONDS)
    driver = fork()
    driver.wait_ready()
    with monkeypatch.context() as patch:
        patch.setattr("reproq.executors.attempt.OutputPipe", no_descriptor_is_left)
        ended = driver.wait(driver.submit(payload("tasks.echo", "[1]")))[0]
    assert ended.outcome == Release("the worker could not prepare a child: no descriptor is left", started=False)
    assert not driver.executor.ready
    assert driver.executor.deadline() is not None
    end_the_pause(driver)
    driver.wait_ready()
    assert driver.run("echo", "[1]").outcome == Success("1")
    assert driver.executor.deadline() is None


def end_the_pause(driver: Driver) -> None:
    """Nothing was taken until now; from here on the moment is over."""
    driver.executor._paused_until = time.monotonic()  # type: ignore[attr-defined]


def test_when_no_process_can_be_had_all_that_waits_is_given_back_at_once_and_no_more_is_tried(
    fork: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("reproq.executors.defaults.PAUSE_SECONDS", PATIENCE_SECONDS)
    full = tmp_path / "full"
    driver = fork("tasks:setup_on_a_system_that_is_full", extra={"REPROQ_TEST_MARKER": str(full)}, concurrency=2)
    assert driver.run("echo", "[1]").outcome == Success("1")
    driver.executor._pace = Pace(0.005)  # type: ignore[attr-defined] # however long that run has taken here
    assert driver.executor.ahead(0.01) > 0
    full.touch()
    ends = driver.wait(*[driver.submit(payload("tasks.echo", "[1]")) for _ in range(30)])
    reason = "no child could be forked: [Errno 11] no room"
    assert {ended.outcome for ended in ends} == {Release(reason, started=False)}
    assert full.read_text() == "tried\n" * 2, "one try for each run that would run at once"
    assert not driver.executor.ready
    assert driver.executor.ahead(0.01) == 0, "as many as can run are enough to find out whether there is room"
    full.unlink()
    end_the_pause(driver)
    driver.wait_ready()
    assert driver.run("echo", "[1]").outcome == Success("1")
    assert driver.executor.ahead(0.01) > 0


def test_a_template_that_gets_no_socket_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    selector, before = selectors.DefaultSelector(), os.listdir("/proc/self/fd")
    monkeypatch.setattr("socket.socketpair", no_descriptor_is_left)
    with pytest.raises(OSError, match="no descriptor is left"):
        TemplateProcess(Launch("tasks:setup", {}, sys.executable, 1000, 60.0), selector, print, print)
    assert not selector.get_map()
    assert os.listdir("/proc/self/fd") == before
    selector.close()


def no_descriptor_is_left(*arguments: object) -> None:
    raise OSError("no descriptor is left")


def test_a_run_stopped_before_the_template_is_ready_never_starts(fork: Make) -> None:
    driver = fork()
    key = driver.submit(payload("tasks.echo", "[1]"))
    driver.executor.stop(key, Release("drain", started=False))
    ended = driver.wait(key)[0]
    assert (ended.outcome, ended.started_s) == (Release("drain", started=False), None)


def test_a_run_stopped_right_after_it_was_submitted_never_starts(fork: Make) -> None:
    driver = fork()
    driver.wait_ready()
    key = driver.submit(payload("tasks.echo", "[1]"))
    driver.executor.stop(key, Release("drain", started=False))
    ended = driver.wait(key)[0]
    assert (ended.outcome, ended.started_s) == (Release("drain", started=False), None)
    assert driver.run("echo", "[2]").outcome == Success("2")


def test_a_thread_started_by_the_import_is_a_warning_that_names_it(fork: Make) -> None:
    driver = fork("tasks:setup_with_a_thread")
    driver.wait_ready()
    assert len(driver.notices) == 1
    assert "started 1 thread(s): metrics-flusher (Thread)" in driver.notices[0]
    assert "a lock that one of them holds at that moment stays locked" in driver.notices[0]
    assert driver.run("echo", "[1]").outcome == Success("1")


def test_what_the_import_prints_is_a_notice_and_no_runs_output(fork: Make) -> None:
    driver = fork("tasks:setup_that_prints")
    driver.wait_ready()
    assert driver.notices == ["the project printed while it was imported: loading 17 plug-ins"]
    assert driver.run("echo", "[1]").output.bytes_total == 0


def test_children_get_default_signals_back_whatever_the_import_has_set(fork: Make) -> None:
    outcome = fork("tasks:setup_that_prints").run("process_facts").outcome
    assert isinstance(outcome, Success)
    assert json.loads(outcome.return_json)["ignored"] == (1 << 12) | (1 << 24)


def test_an_import_that_ignores_the_ends_of_children_changes_nothing(fork: Make) -> None:
    driver = fork("tasks:setup_that_ignores_its_children")
    assert [driver.run("echo", f"[{number}]").outcome for number in (1, 2)] == [Success("1"), Success("2")]
    assert driver.notices == []


def test_what_the_import_has_started_outlives_the_runs(fork: Make, tmp_path: Path) -> None:
    marker = tmp_path / "server"
    driver = fork("tasks:setup_with_a_server", extra={"REPROQ_TEST_MARKER": str(marker)})
    driver.wait_ready()
    driver.until(marker.exists)
    server = int(marker.read_text())
    driver.run("lets_the_launcher_end", json.dumps([str(marker)]))
    driver.until(lambda: parent_of(server) == template_of(driver))
    for _ in range(3):
        driver.run("echo", "[1]")
    assert alive(server)
    driver.executor.close()
    assert not alive(server), "and it ends with the template"


def parent_of(pid: int) -> int:
    return int(fields_of(pid)[1])


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        ("tasks:setup_that_fails", "No module named 'a_module_that_nobody_has_written'"),
        ("tasks:nothing", "has no attribute 'nothing'"),
        ("no_such_module:setup", "No module named 'no_such_module'"),
        ("tasks:state", "is not callable"),
        ("tasks:setup_that_dies", "killed by SIGABRT (Aborted); the last it printed:\nabout to die while importing"),
    ],
)
def test_a_project_that_cannot_be_imported_is_a_configuration_error(fork: Make, setup: str, words: str) -> None:
    driver = fork(setup)
    with pytest.raises(ConfigurationError) as caught:
        driver.until(lambda: driver.executor.ready)
    assert f"the template could not be prepared by {setup}:" in str(caught.value)
    assert words in str(caught.value)


def test_an_import_that_hangs_is_a_configuration_error(fork: Make) -> None:
    driver = fork("tasks:setup_that_hangs", import_timeout_seconds=0.5)
    with pytest.raises(ConfigurationError, match=r"did not import the project within 0\.5 s"):
        driver.until(lambda: driver.executor.ready)


def test_an_interpreter_that_is_not_there_is_a_configuration_error(fork: Make) -> None:
    driver = fork(python="/no/such/python")
    with pytest.raises(ConfigurationError, match="/no/such/python cannot be started"):
        _ = driver.executor.ready


def test_a_killed_template_gives_its_runs_back_and_another_one_serves_the_next(fork: Make, tmp_path: Path) -> None:
    driver = fork()
    driver.wait_ready()
    file = tmp_path / "pids"
    keys = [driver.submit(payload("tasks.ignores_term")), driver.submit(payload("tasks.family", f'["{file}"]'))]
    driver.until(file.exists)  # and so the first has begun, too: children come in the order in which they are asked for
    dead = template_of(driver)
    os.kill(dead, signal.SIGKILL)
    for ended in driver.wait(*keys):
        assert isinstance(ended.outcome, Release)
        assert ended.outcome.started
        assert ended.outcome.reason.startswith("the template died: it was killed by SIGKILL")
    driver.until(lambda: any("2 of its runs were under way" in notice for notice in driver.notices))
    family = json.loads(file.read_text())
    driver.until(lambda: all(is_gone(pid) for pid in [dead, *family]))
    assert driver.run("echo", "[1]").outcome == Success("1")
    assert template_of(driver) != dead


def test_a_run_asked_for_while_the_template_dies_is_given_back_as_not_started(fork: Make) -> None:
    driver = fork()
    driver.wait_ready()
    halt(template_of(driver))
    key = driver.submit(payload("tasks.echo", "[1]"))
    os.kill(template_of(driver), signal.SIGKILL)
    ended = driver.wait(key)[0]
    assert isinstance(ended.outcome, Release)
    assert not ended.outcome.started
    assert ended.started_s is None


def test_a_template_that_answers_no_more_is_killed(fork: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reproq.executors.template.ANSWER_SECONDS", 0.4)
    driver = fork()
    driver.wait_ready()
    halt(template_of(driver))
    ended = driver.wait(driver.submit(payload("tasks.echo", "[1]")))[0]
    assert isinstance(ended.outcome, Release)
    assert not ended.outcome.started
    assert "it did not answer within 0.4 s" in ended.outcome.reason


def test_a_template_survives_what_a_flood_of_runs_asks_of_it(fork: Make) -> None:
    driver = fork()
    keys = [driver.submit(payload("tasks.echo", "[1]", run_id=number)) for number in range(300)]
    assert {ended.outcome for ended in driver.wait(*keys)} == {Success("1")}


def test_a_reply_counts_although_the_template_died(fork: Make) -> None:
    driver = fork()
    driver.wait_ready()
    key = driver.submit(payload("tasks.sleeps", "[0.3]"))
    driver.until(lambda: attempt_of(driver, key).sent_s is not None)
    child = attempt_of(driver, key).process
    assert child is not None
    halt(template_of(driver))
    wait_for("the child to end", lambda: not alive(child.pid))  # without a step: nobody hears of it, nor can reap it
    os.kill(template_of(driver), signal.SIGKILL)
    assert driver.wait(key)[0].outcome == Success('"slept"')


def test_a_template_that_fails_later_is_tried_again_and_what_waited_is_given_back(fork: Make, tmp_path: Path) -> None:
    marker = tmp_path / "imported"
    driver = fork("tasks:setup_that_fails_the_second_time", extra={"REPROQ_TEST_MARKER": str(marker)})
    driver.wait_ready()
    os.kill(template_of(driver), signal.SIGKILL)
    driver.until(lambda: driver.executor.template_pid is None)
    waiting = driver.submit(payload("tasks.echo", "[1]"))
    driver.until(lambda: any("RuntimeError: the second import fails" in notice for notice in driver.notices))
    assert not driver.executor.ready
    reason = "no template could be prepared: another worker may take this one"
    assert driver.wait(waiting)[0].outcome == Release(reason, started=False)
    marker.unlink()
    driver.wait_ready()
    assert driver.run("echo", "[1]").outcome == Success("1")


def test_term_and_interrupt_do_not_reach_the_template(fork: Make) -> None:
    driver = fork()
    driver.wait_ready()
    template = template_of(driver)
    assert os.getsid(template) == template != os.getsid(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(template, number)
    assert driver.run("echo", "[1]").outcome == Success("1")
    assert template_of(driver) == template


def test_closing_kills_all_that_runs_and_says_so(fork: Make, tmp_path: Path) -> None:
    driver = fork()
    file = tmp_path / "pids"
    key = driver.submit(payload("tasks.family", f'["{file}"]'))
    driver.until(file.exists)
    template = template_of(driver)
    driver.executor.close()
    driver.executor.close()
    (ended,) = driver.executor.take_ended()
    assert (ended.key, ended.outcome) == (key, Release("the executor was closed", started=True))
    assert all(is_gone(pid) for pid in [template, *json.loads(file.read_text())])


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", int, list[int]]]:
    """A worker-like process with one run under way: itself, its template, the run's family."""
    file = tmp_path / "pids"
    paths = os.pathsep.join([str(SOURCES), str(HERE.parent.parent), str(HERE)])
    env = BARE_ENVIRONMENT | {"PYTHONPATH": paths}
    command = [sys.executable, "-m", "tests.executors.worker", str(file)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stdout is not None
        template = int(process.stdout.readline())
        family = json.loads(file.read_text())
        yield process, template, family
        for pid in [process.pid, template, *family]:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def wait_until_dead(pids: list[int]) -> list[int]:
    """Those of `pids` that still live when patience is at its end."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < end:
        time.sleep(0.01)
    return left


@pytest.mark.lesson("children-that-survive-a-killed-worker")
def test_nothing_survives_a_killed_worker(worker: tuple["subprocess.Popen[str]", int, list[int]]) -> None:
    process, template, family = worker
    assert all(alive(pid) for pid in [template, *family])
    process.kill()
    assert wait_until_dead([process.pid, template, *family]) == []


@pytest.mark.lesson("children-that-survive-a-killed-worker")
def test_children_do_not_survive_worker_and_template_killed_together(
    worker: tuple["subprocess.Popen[str]", int, list[int]],
) -> None:
    process, template, family = worker
    halt(process.pid)
    os.kill(template, signal.SIGKILL)
    process.kill()
    assert wait_until_dead([process.pid, template, family[0]]) == []


def test_a_worker_without_descriptors_gives_runs_back_and_goes_on(fork: Make) -> None:
    driver = fork()
    driver.wait_ready()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    try:
        for extra in range(1, 9):
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + extra, limits[1]))
            for ended in driver.wait(*[driver.submit(payload("tasks.echo", "[1]")) for _ in range(4)]):
                assert ended.outcome == Success("1") or isinstance(ended.outcome, Release)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    driver.wait_ready()
    assert driver.run("echo", "[1]").outcome == Success("1")
    assert driver.notices == []


def test_the_children_of_a_process_that_is_hidden_from_us_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of what a task has started by sudo, where /proc is mounted so: a template would end of that."""

    def is_hidden(path: str) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", path)

    monkeypatch.setattr("os.listdir", is_hidden)
    assert kernel.children_of(1) == []


def test_what_a_template_may_not_kill_is_looked_for_later_and_later_and_what_is_new_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a daemon that a run has started with another user's rights: it may stay for years."""
    monkeypatch.setattr("reproq.child.kernel.kill_quietly", lambda *arguments: None)
    ours, workers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, workers, subprocess.Popen(["sleep", "600"]) as one, subprocess.Popen(["sleep", "600"]) as other:
        template = Template("", ours, os.getpid(), 0, 0)
        template.own = Mock(look=lambda: left)

        def waits() -> float:
            template.sweep()
            return template.waits_seconds

        left = [one.pid]
        assert [waits() for _ in range(9)] == [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0]
        left = [one.pid, other.pid]
        assert [waits() for _ in range(2)] == [0.02, 0.04]
        one.kill()
        other.kill()
        left = []
        assert waits() == 0.0


def test_who_may_not_kill_all_that_descends_from_it_looks_later_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a template whose worker is gone: it ends when the last of them does."""
    pauses: list[float] = []
    monkeypatch.setattr(kernel, "kill_families", lambda roots: set())
    monkeypatch.setattr(kernel, "reap_all", lambda: len(pauses) < 30)
    monkeypatch.setattr("reproq.child.kernel.time", Mock(sleep=pauses.append))
    kernel.kill_every_descendant()
    assert pauses[0] == 0.001
    assert all(pause <= 0.001 + sum(pauses[:number]) for number, pause in enumerate(pauses)), "no longer than it took"
    assert pauses[-1] == 1.0


def test_a_look_at_ones_children_finds_all_of_them_however_long_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "CHILDREN_BYTES", 8)  # one or two of them at a time
    own = kernel.OwnChildren()
    started = [subprocess.Popen(["sleep", "600"]) for _ in range(5)]
    try:
        before, looked, after = kernel.children_of(os.getpid()), own.look(), kernel.children_of(os.getpid())
        assert len(set(looked)) == len(looked)
        # An orphan of another test may be handed to this process at any moment.
        assert {process.pid for process in started} | (set(before) & set(after)) <= set(looked) <= {*before, *after}
    finally:
        own.close()
        for process in started:
            process.kill()
            process.wait()


def test_no_more_than_the_concurrency_run_at_once_and_the_others_wait_their_turn(
    fork: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproq.executors.waiting.PATIENCE_SECONDS", PATIENCE_SECONDS)
    driver = fork(concurrency=1, forks_ahead=1)
    files = [tmp_path / str(number) for number in range(3)]
    keys = [driver.submit(payload("tasks.sleeps_noted", json.dumps([str(file), 0.02]))) for file in files]
    began = sorted(ended.started_s or 0.0 for ended in driver.wait(*keys))
    assert all(later - earlier >= 0.02 for earlier, later in itertools.pairwise(began))


def test_short_runs_are_wanted_ahead_and_long_ones_are_not(fork: Make) -> None:
    driver = fork(concurrency=2, forks_ahead=2)
    assert driver.executor.ahead(0.01) == 0, "nobody knows yet how long they are"
    driver.run("echo", "[1]")
    driver.executor._pace = Pace(0.005)  # type: ignore[attr-defined]
    assert driver.executor.ahead(0.01) >= 8
    driver.executor._pace = Pace(0.1)  # type: ignore[attr-defined]
    assert driver.executor.ahead(0.01) == 0


def test_what_waits_behind_long_runs_is_given_back_unbegun(fork: Make) -> None:
    driver = fork(concurrency=1)
    longer = driver.submit(payload("tasks.sleeps", "[600]"))
    waiting = driver.submit(payload("tasks.echo", "[1]"))
    given_back = driver.wait(waiting)[0]
    reason = "every child is on a long run: another worker may take this one"
    assert (given_back.outcome, given_back.started_s) == (Release(reason, started=False), None)
    assert longer not in driver.ended
    driver.executor.stop(longer, Release("drain", started=True))
    driver.wait(longer)


def test_a_run_that_waits_can_be_stopped_and_withdrawn(fork: Make) -> None:
    driver = fork(concurrency=1)
    keys = [driver.submit(payload("tasks.sleeps", "[600]")) for _ in range(3)]
    driver.executor.stop(keys[1], Release("cancelled", started=False))
    driver.executor.withdraw("the worker is draining")
    assert [ended.outcome for ended in driver.wait(*keys[1:])] == [
        Release("cancelled", started=False),
        Release("the worker is draining", started=False),
    ]
