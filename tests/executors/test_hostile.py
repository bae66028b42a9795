"""Tasks that mean harm: each costs its own run one failed attempt, and nobody else anything."""

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reproq.child.kernel import resident_bytes
from reproq.errors import ConfigurationError
from reproq.executors import Ended, member, suspects
from reproq.executors.suspects import Suspects
from reproq.lifecycle import Failure, Key, Kind, Outcome, Release, Success
from tests.acceptance.workers import wait_for
from tests.executors.conftest import HERE, make_fork, make_pool, make_spawn
from tests.executors.driver import Driver, alive, is_gone, open_descriptors, payload
from tests.executors.hostile import bomb_name

MAKERS: dict[str, Callable[..., Any]] = {"fork": make_fork, "pool": make_pool, "spawn": make_spawn}
PROCESSES = 500
HUNDREDS = 300_000_000
BOUND_BYTES = 256 << 20

HARM = {
    "blocks_all_signals": ("[]", {Kind.TIMEOUT}),
    "stops_itself": ("[]", {Kind.TIMEOUT}),
    "closes_all": ("[]", {Kind.TIMEOUT, Kind.BAD_REPLY}),
    "replies_in_drops": ("[30]", {Kind.TIMEOUT, Kind.BAD_REPLY}),
    "replies_endlessly": (f"[{HUNDREDS}]", {Kind.BAD_REPLY}),
    "kills_its_group": ("[]", {Kind.CHILD_DIED}),
    "opens_everything": ("[]", {Kind.EXCEPTION}),
}
"""The tasks, their arguments, and how they may end: what a closed channel looks like depends on the executor."""


@pytest.fixture(params=MAKERS)
def name(request: pytest.FixtureRequest) -> str:
    """The executors whose children are ours."""
    return str(request.param)


@pytest.fixture
def make(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Driver]]:
    """Makes drivers of one executor with options of their own, and closes them; a dead template is followed at once."""
    monkeypatch.setattr("reproq.executors.restarts.RESTART_SECONDS", 0.05)
    made: list[Driver] = []

    def make_one(**options: Any) -> Driver:
        made.append(Driver(MAKERS[name](**options)))
        made[-1].wait_ready()
        return made[-1]

    yield make_one
    for driver in made:
        driver.close()


def failure_of(driver: Driver, key: Key) -> Failure:
    outcome = driver.wait(key)[0].outcome
    assert isinstance(outcome, Failure), outcome
    return outcome


def bombing(driver: Driver, marker: Path) -> Key:
    """A fork bomb that has reached its full size."""
    key = driver.submit(payload("hostile.bombs", json.dumps([PROCESSES, str(marker)])))
    driver.until(marker.exists)
    return key


def reaped(driver: Driver) -> bool:
    """What a worker does when a child has ended."""
    driver.executor.reap_adopted()
    return True


def bomb(marker: Path) -> list[int]:
    """The processes of the bomb with this marker that live or are unreaped."""
    found, name = [], bomb_name(str(marker))
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_bytes().rstrip() == name:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.alone
def test_all_harm_at_once_costs_each_its_own_attempt_and_the_worker_no_memory(
    make: Callable[..., Driver], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        member, "LONG_SECONDS", 60.0
    )  # else those of a pool whose child is not there yet are given back
    driver = make(**({"concurrency": 16} if name == "pool" else {}))
    driver.wait(*[driver.submit(payload()) for _ in range(8)])
    before, descriptors = resident_bytes(os.getpid()), open_descriptors(driver)
    seconds = 3.0 if name == "spawn" else 1.0  # its timeout includes the import
    keys = {
        task: driver.submit(
            payload(f"hostile.{task}", args, run_id=number, timeout_seconds=seconds if Kind.TIMEOUT in ends else None)
        )
        for number, (task, (args, ends)) in enumerate(HARM.items(), start=2)
    }
    neighbours = [driver.submit(payload("tasks.sleeps", "[0.1]", run_id=100 + number)) for number in range(4)]
    wrong = {task: kind for task, key in keys.items() if (kind := failure_of(driver, key).kind) not in HARM[task][1]}
    assert wrong == {}
    assert {ended.outcome for ended in driver.wait(*neighbours)} == {Success('"slept"')}
    assert resident_bytes(os.getpid()) - before < 32 << 20
    driver.until(lambda: open_descriptors(driver) <= descriptors)


def test_a_reply_without_end_is_refused_at_its_bound(make: Callable[..., Driver]) -> None:
    driver = make()
    before = resident_bytes(os.getpid())
    failure = failure_of(driver, driver.submit(payload("hostile.replies_endlessly", f"[{HUNDREDS},false]")))
    assert failure.kind == Kind.BAD_REPLY
    assert "over the bound of 5242880" in failure.message
    assert resident_bytes(os.getpid()) - before < 32 << 20


@pytest.mark.alone
def test_processes_in_groups_and_sessions_of_their_own_end_with_their_child(
    make: Callable[..., Driver], name: str, tmp_path: Path
) -> None:
    """Without their environment too, where a template is the next that they are handed to."""
    driver = make(**({"max_runs": 1} if name == "pool" else {}))
    marker = tmp_path / "pids"
    arguments = json.dumps([str(marker), name == "spawn"])
    assert driver.wait(driver.submit(payload("hostile.changes_groups", arguments)))[0].outcome == Success("null")
    pids = [int(pid) for pid in marker.read_text().split()]
    assert len(pids) == 3
    driver.until(lambda: all(is_gone(pid) for pid in pids), 30)


@pytest.mark.alone
def test_a_fork_bomb_is_gone_soon_after_its_run_though_it_goes_on_forking(
    make: Callable[..., Driver], tmp_path: Path
) -> None:
    driver = make()
    neighbour = driver.submit(payload("tasks.sleeps", "[1]", run_id=2))
    key = bombing(driver, marker := tmp_path / "full")
    driver.executor.stop(key, Release("enough", started=True), 0.0)
    driver.wait(key)
    driver.until(lambda: reaped(driver) and not bomb(marker))
    assert driver.wait(neighbour)[0].outcome == Success('"slept"')
    assert driver.run("echo", "[1]").outcome == Success("1")


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("name", ["fork", "pool"])
def test_a_fork_bomb_is_gone_soon_after_its_template_was_killed(make: Callable[..., Driver], tmp_path: Path) -> None:
    driver = make()
    key = bombing(driver, marker := tmp_path / "full")
    os.kill(driver.executor.template_pid, signal.SIGKILL)  # type: ignore[attr-defined]
    driver.until(lambda: not any(map(alive, bomb(marker))))
    assert isinstance(driver.wait(key)[0].outcome, Release)


AS_A_USER = """
import os, sys
from pathlib import Path
from driver import Driver, payload
from reproq.child.kernel import become_subreaper
from reproq.executors.environment import template_environment
from reproq.executors.fork import ForkExecutor
from reproq.lifecycle import Release

assert os.geteuid()
become_subreaper()
marker = Path(sys.argv[1], "full")
driver = Driver(ForkExecutor("tasks:setup", environment=template_environment(os.environ)))
neighbour = driver.submit(payload("tasks.sleeps", "[1]", run_id=2))
key = driver.submit(payload("hostile.bombs", f'[500, "{marker}"]'))
driver.until(marker.exists)
driver.executor.stop(key, Release("enough", started=True), 0.0)
print(*[type(ended.outcome).__name__ for ended in driver.wait(key, neighbour)])
driver.close()
"""


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.usefixtures("as_root")
def test_an_ordinary_user_is_rid_of_a_fork_bomb_as_well(
    open_folder: Path, user_python: tuple[list[str], dict[str, str]]
) -> None:
    (python, environment), nobody = user_python, pwd.getpwnam("nobody").pw_uid
    tests = shutil.copytree(HERE, open_folder / "tests", ignore=shutil.ignore_patterns("__pycache__", "test_*"))
    environment = {**environment, "PYTHONPATH": f"{environment['PYTHONPATH']}:{tests}"}
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, nobody, nobody)
    ended = subprocess.run(
        [*python, AS_A_USER, home], env=environment, cwd="/", user=nobody, group=nobody, extra_groups=(),
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "Release Success\n"), ended.stderr
    wait_for("the last of the bomb to die", lambda: not any(map(alive, bomb(home / "full"))))


def test_a_process_over_max_memory_gets_an_error_that_names_the_bound(make: Callable[..., Driver]) -> None:
    driver = make(max_memory_bytes=BOUND_BYTES)
    failure = failure_of(driver, driver.submit(payload("hostile.allocates", "[2000000000]")))
    assert (failure.kind, failure.exception_class) == (Kind.EXCEPTION, "builtins.MemoryError")
    assert failure.message == "a process of this run may have 268,435,456 bytes (max_memory)"
    assert driver.run("echo", "[1]").outcome == Success("1")


def test_processes_that_a_run_starts_are_bound_by_max_memory_too(make: Callable[..., Driver]) -> None:
    driver = make(max_memory_bytes=BOUND_BYTES)
    outcome = driver.wait(driver.submit(payload("hostile.bound_of_a_grandchild")))[0].outcome
    assert outcome == Success(str(BOUND_BYTES))


@pytest.mark.parametrize("name", ["fork", "pool"])
def test_a_bound_below_what_the_project_has_is_a_configuration_error(make: Callable[..., Driver]) -> None:
    words = r"max_memory = 1,048,576 bytes leaves nothing for a run: the imported project has [0-9,]+ bytes"
    with pytest.raises(ConfigurationError, match=words):
        make(max_memory_bytes=1 << 20)


def tried_until_all_have_ended(driver: Driver, attempts: dict[int, int], tasks: dict[int, str]) -> dict[int, Outcome]:
    """What a store would do: what was released comes again at once, what has failed as often as it may."""
    ends: dict[int, Outcome] = {}
    for _ in range(20):
        keys = {
            run: driver.submit(payload(task, "[0.3]" if "sleeps" in task else "[]", run_id=run))
            for run, task in tasks.items()
            if run not in ends
        }
        for run, key in keys.items():
            outcome = driver.wait(key)[0].outcome
            attempts[run] -= not isinstance(outcome, Release)
            if isinstance(outcome, Success) or not attempts[run]:
                ends[run] = outcome
        if len(ends) == len(tasks):
            return ends
    raise AssertionError(f"after 20 rounds only {ends}")


def deaths_of_templates(driver: Driver) -> int:
    return sum("the template died" in notice for notice in driver.notices)


@pytest.mark.parametrize("task", ["kills_its_parent", "kills_its_parent_and_exits"])
@pytest.mark.parametrize("name", ["fork", "pool"])
def test_a_task_that_kills_its_template_fails_and_its_neighbours_do_not(
    make: Callable[..., Driver], name: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspects, "TRIAL_SECONDS", 30.0)  # however long the machine takes to kill a template
    driver = make()
    attempts = dict.fromkeys(range(1, 5), 3)
    tasks = dict.fromkeys(range(2, 5), "tasks.sleeps") | {1: f"hostile.{task}"}
    ends = tried_until_all_have_ended(driver, attempts, tasks)
    failure = ends.pop(1)
    assert isinstance(failure, Failure)
    assert failure.kind == Kind.CHILD_DIED
    assert re.match("the template died: it was killed by SIGKILL", failure.message)
    assert "no other run was beside it: it is held to have killed both" in failure.message
    assert ends == dict.fromkeys(range(2, 5), Success('"slept"'))
    assert attempts == {1: 0, 2: 2, 3: 2, 4: 2}, "no neighbour has failed"
    # Those that tell nothing, and one for each of the three attempts. In a pool a neighbour has answered just before.
    assert deaths_of_templates(driver) in ((4,) if name == "fork" else (4, 5))


@pytest.mark.parametrize("name", ["fork", "pool"])
def test_a_task_that_kills_its_template_and_answers_leaves_no_neighbour_to_be_blamed(
    make: Callable[..., Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever killed has succeeded, and is gone; another one is beside the honest run each time."""
    monkeypatch.setattr(suspects, "TRIAL_SECONDS", 15.0)  # however long the machine takes to kill a template
    driver = make(concurrency=2)
    for number in range(2, 12):
        honest = driver.submit(payload("tasks.sleeps", "[1.5]", run_id=1))
        killer = driver.submit(payload("hostile.kills_its_parent_and_answers", run_id=number))
        outcomes = [ended.outcome for ended in driver.wait(honest, killer)]
        assert isinstance(outcomes[1], Success | Release), "it may die of its template before it has answered"
        if isinstance(outcomes[0], Success):
            break
        assert isinstance(outcomes[0], Release), outcomes[0]
    assert outcomes[0] == Success('"slept"')
    assert number <= 4, "a killer was beside it twice, and then it was alone"


def test_a_suspect_waits_while_another_is_tried_and_honest_runs_do_not() -> None:
    suspects = Suspects()
    assert suspects.blamed([(1, 1), (2, 1)], 0.0) is None
    waiting = [(3, 1), (2, 2), (1, 2)]
    assert suspects.turn(waiting, 1.0, is_idle=True) == ((1, 2), True), "who was under way for longest is first"
    suspects.begins((1, 2), 1.0, is_idle=True)
    assert suspects.turn(waiting[:2], 1.5, is_idle=False) == (None, True)
    assert suspects.due_at(1.5) == 2.0
    assert suspects.is_due(2.0)
    assert suspects.turn(waiting[:2], 2.0, is_idle=False) == ((2, 2), True)


def under_way_at_two_deaths(*runs: int) -> Suspects:
    suspects = Suspects()
    for death in (1, 2):
        assert suspects.blamed([(run, death) for run in runs], 0.0) is None
    return suspects


def test_after_two_deaths_a_suspect_is_tried_alone() -> None:
    suspects = under_way_at_two_deaths(1, 2)
    waiting = [(1, 3), (2, 3), (3, 1)]
    assert suspects.turn(waiting, 0.0, is_idle=True) == ((1, 3), False)
    suspects.begins((1, 3), 0.0, is_idle=True)
    assert suspects.turn(waiting[1:], 1.9, is_idle=False) == (None, False), "nobody begins beside it"
    assert suspects.due_at(1.9) == 2.0
    assert suspects.blamed([(1, 3)], 1.9) == (1, 3)


def test_who_is_to_be_alone_waits_for_the_others_no_longer_than_its_trial_takes() -> None:
    suspects = under_way_at_two_deaths(1, 2)
    waiting = [(1, 3), (3, 1)]
    assert suspects.turn(waiting, 10.0, is_idle=False) == (None, False)
    assert suspects.due_at(10.0) == 12.0
    assert suspects.turn(waiting, 11.0, is_idle=True) == ((1, 3), False)
    assert suspects.turn(waiting, 12.0, is_idle=False) == ((1, 3), True)
    suspects.begins((1, 3), 12.0, is_idle=False)
    assert suspects.turn(waiting[1:], 12.5, is_idle=False) == (None, True), "others are beside it anyway"
    assert suspects.blamed([(1, 3), (9, 1)], 12.5) is None


def test_who_was_alone_once_lets_the_others_go_first() -> None:
    suspects = under_way_at_two_deaths(1, 2)
    suspects.begins((1, 3), 0.0, is_idle=True)
    suspects.begins((2, 3), 2.0, is_idle=False)
    assert suspects.blamed([(1, 3), (2, 3)], 2.1) is None
    assert suspects.turn([(1, 4), (2, 4)], 3.0, is_idle=True) == ((2, 4), False)


def test_nobody_is_blamed_beside_a_run_that_may_have_done_it() -> None:
    for others, under_way in ((False, [(1, 2), (7, 1)]), (True, [(1, 2)]), (False, [(7, 1)])):
        suspects = Suspects()
        suspects.blamed([(1, 1), (2, 1)], 0.0)
        suspects.begins((1, 2), 0.0, is_idle=True)
        assert suspects.blamed(under_way, 0.5, others=others) is None


def test_who_kills_later_is_tried_for_longer() -> None:
    suspects = Suspects()
    now = 0.0
    for deaths in range(1, 8):
        assert suspects.blamed([(1, deaths), (2, deaths)], now) is None
        suspects.begins((1, deaths + 1), now, is_idle=True)
        assert suspects.due_at(now) == now + min(2 ** (deaths - 1), 32)
        now += 32


def test_an_answer_clears_a_suspect() -> None:
    suspects = Suspects()
    suspects.blamed([(1, 1)], 0.0)
    suspects.begins((1, 2), 0.0, is_idle=True)
    suspects.ended(Ended((1, 2), Success("1"), 0.0, 0.1))
    assert not suspects
    assert suspects.blamed([(1, 3)], 0.2) is None


@pytest.mark.parametrize("name", ["pool"])
def test_runs_whose_tickets_were_taken_by_the_one_before_are_given_back(
    make: Callable[..., Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member, "LONG_SECONDS", 60.0)  # else they may be given back for waiting too long
    driver = make(concurrency=1)
    driver.wait(*[driver.submit(payload()) for _ in range(64)])  # now it knows its runs for short ones
    thief = driver.submit(payload("hostile.takes_the_tickets"))
    behind = [driver.submit(payload("tasks.echo", "[1]")) for _ in range(5)]
    assert failure_of(driver, thief).kind == Kind.CHILD_DIED
    reason = "the run before it in the same child broke their channel to the worker"
    assert {ended.outcome for ended in driver.wait(*behind)} <= {Release(reason, started=True), Success("1")}
    assert driver.run("echo", "[2]").outcome == Success("2")
