"""Long-lived children: several runs in hand, none lost, none begun twice, and a child takes only one of them along."""

import json
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reproq.executors import member
from reproq.executors.order import Bounds
from reproq.executors.pace import LONG_SECONDS, MAX_AHEAD, Pace
from reproq.lifecycle import Failure, Key, Kind, Release, Success
from tests.executors.conftest import make_pool
from tests.executors.descriptors import only
from tests.executors.driver import PATIENCE_SECONDS, Driver, is_gone, payload

Make = Callable[..., Driver]
REASON = "every child is on a long run: another worker may take this one"


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes drivers of pools with options of their own, and closes them. No run is long, however busy the machine is,
    unless a test says after how many seconds one is."""
    made: list[Driver] = []

    def make(*, long_seconds: float = 60.0, **options: Any) -> Driver:
        monkeypatch.setattr(member, "LONG_SECONDS", long_seconds)
        made.append(Driver(make_pool(**options)))
        made[-1].wait_ready()
        return made[-1]

    yield make
    for driver in made:
        driver.close()


def test_a_child_that_there_are_too_few_descriptors_for_leaves_none_open() -> None:
    selector, before = selectors.DefaultSelector(), os.listdir("/proc/self/fd")
    needed = 6  # a channel and an output of two ends each, and two for the tickets
    for count in range(needed):
        with only(count), pytest.raises(OSError, match="Too many open files"):
            member.Member(1, selector, 1.0, Bounds(100, 100, 0, 0))
        assert os.listdir("/proc/self/fd") == before
    with only(needed):
        made = member.Member(1, selector, 1.0, Bounds(100, 100, 0, 0))
    for descriptor in made.ends():
        os.close(descriptor)
    made.finish(None, 0.0)
    selector.close()


def warmed_up(driver: Driver, runs: int = 64) -> Driver:
    """A pool that knows its runs for short ones, so that a child gets several."""
    driver.wait(*[driver.submit(payload("tasks.echo", "[1]")) for _ in range(runs)])
    return driver


def values(driver: Driver, *keys: Key) -> list[Any]:
    found = []
    for ended in driver.wait(*keys):
        assert isinstance(ended.outcome, Success), ended.outcome
        found.append(json.loads(ended.outcome.return_json))
    return found


def begun(driver: Driver, file: Path) -> Key:
    """A run that has begun, and goes on until the file is gone."""
    key = driver.submit(payload("tasks.waits", json.dumps([str(file)])))
    driver.until(file.exists)
    return key


def pid_of(driver: Driver) -> int:
    return int(values(driver, driver.submit(payload("tasks.process_id")))[0])


def test_one_process_runs_many_runs_in_their_order(pool: Make) -> None:
    driver = warmed_up(pool(concurrency=1))
    first = pid_of(driver)
    keys = [driver.submit(payload("tasks.remembers", f'["{number}"]')) for number in range(200)]
    assert values(driver, *keys)[-1] == [str(number) for number in range(200)]
    assert pid_of(driver) == first


def test_every_run_has_its_own_output_and_a_quiet_one_none(pool: Make) -> None:
    driver = warmed_up(pool(concurrency=1))
    keys = [driver.submit(payload("tasks.says", json.dumps([f"<{n}>" * (n % 3) * 50]))) for n in range(120)]
    printed = [ended.output.head + ended.output.tail for ended in driver.wait(*keys)]
    assert printed == [f"<{n}>".encode() * (n % 3) * 50 for n in range(120)]


def test_a_flood_between_short_runs_blocks_nobody_and_is_its_own(pool: Make) -> None:
    driver = warmed_up(pool(concurrency=1))
    before = [driver.submit(payload("tasks.says", '["before"]')) for _ in range(10)]
    flood = driver.submit(payload("tasks.floods", "[10485760]"))
    driver.wait(*before, flood)
    after = [driver.submit(payload("tasks.says", '["after"]')) for _ in range(10)]
    driver.wait(*after)
    assert driver.ended[flood].output.bytes_total == (10 << 20) + len("the end\n")
    assert {driver.ended[key].output.head for key in before} == {b"before"}
    assert {driver.ended[key].output.head for key in after} == {b"after"}


@pytest.mark.parametrize("how", ["kill", "exit", "segfault"])
def test_a_child_that_dies_takes_only_the_run_it_was_on(pool: Make, tmp_path: Path, how: str) -> None:
    driver = warmed_up(pool(concurrency=1))
    file = tmp_path / "begun"
    before = [driver.submit(payload("tasks.notes", json.dumps([str(file), n]))) for n in range(20)]
    deadly = driver.submit(payload("tasks.dies", f'["{how}"]'))
    after = [driver.submit(payload("tasks.notes", json.dumps([str(file), n]))) for n in range(20, 40)]
    assert values(driver, *before, *after) == list(range(40))
    outcome = driver.ended[deadly].outcome
    assert isinstance(outcome, Failure)
    assert outcome.kind == Kind.CHILD_DIED
    assert outcome.message.endswith("the last it printed:\nlast words")
    assert file.read_text().split() == [str(n) for n in range(40)], "none is begun twice"


@pytest.mark.waits
def test_a_timeout_counts_from_the_moment_at_which_a_run_begins(pool: Make) -> None:
    driver = warmed_up(pool(concurrency=1))
    keys = [driver.submit(payload("tasks.sleeps", "[0.15]", timeout_seconds=2.8)) for _ in range(20)]
    assert values(driver, *keys) == ["slept"] * 20, "all together take longer than the timeout of each"


def test_runs_behind_one_that_is_stopped_are_run_elsewhere(pool: Make) -> None:
    driver = warmed_up(pool(concurrency=1))
    stopped = driver.submit(payload("tasks.ignores_term"))
    behind = [driver.submit(payload("tasks.echo", f"[{n}]")) for n in range(10)]
    driver.step(0.01)
    driver.executor.stop(stopped, Release("drain", started=True), 0.0)
    assert values(driver, *behind) == list(range(10))
    assert driver.wait(stopped)[0].outcome == Release("drain", started=True)


def test_a_run_that_waits_behind_another_can_be_stopped_without_harm_to_that(pool: Make, tmp_path: Path) -> None:
    driver = warmed_up(pool(concurrency=1))
    first = begun(driver, file := tmp_path / "begun")
    second, third = (driver.submit(payload("tasks.echo", f"[{n}]")) for n in (2, 3))
    driver.step(0.01)
    driver.executor.stop(second, Release("lease lost", started=True))
    (ended,) = driver.wait(second)
    assert (ended.outcome, ended.started_s) == (Release("lease lost", started=True), None)
    file.unlink()
    assert driver.wait(first)[0].outcome == Success('"waited"')
    driver.wait(third)


def test_nothing_waits_behind_a_long_run_while_another_child_is_free(pool: Make) -> None:
    driver = warmed_up(pool(concurrency=2, long_seconds=LONG_SECONDS))
    long = driver.submit(payload("tasks.sleeps", "[600]"))
    left, end = list(range(60)), time.monotonic() + PATIENCE_SECONDS
    while left:  # where even the short ones are slow some come back, and a store would send them again
        assert time.monotonic() < end, f"{len(left)} are given back all the time"
        ends = driver.wait(*[driver.submit(payload("tasks.echo", f"[{n}]")) for n in left])
        assert all(one.outcome in (Success(str(n)), Release(REASON, False)) for n, one in zip(left, ends, strict=True))
        left = [n for n, one in zip(left, ends, strict=True) if isinstance(one.outcome, Release)]
    assert long not in driver.ended
    driver.executor.stop(long, Release("enough", started=True), 0.0)
    driver.wait(long)


@pytest.mark.parametrize("run_seconds", [0.001, 0.02], ids=["its child has them", "its child has no other"])
def test_what_waits_behind_long_runs_is_given_back_as_not_begun(pool: Make, tmp_path: Path, run_seconds: float) -> None:
    driver = warmed_up(pool(concurrency=1, long_seconds=LONG_SECONDS))
    driver.executor._pace = Pace(run_seconds)  # type: ignore[attr-defined] # however long they have taken here
    assert driver.executor.ahead(0.01) > 0
    long = driver.submit(payload("tasks.waits", json.dumps([str(file := tmp_path / "begun")])))
    behind = [driver.submit(payload("tasks.echo", "[1]")) for _ in range(10)]
    for ended in driver.wait(*behind):
        assert (ended.outcome, ended.started_s) == (Release(REASON, started=False), None)
    assert long not in driver.ended
    assert driver.executor.ahead(0.01) == 0
    driver.until(file.exists)
    file.unlink()
    assert driver.wait(long)[0].outcome == Success('"waited"')
    assert values(driver, driver.submit(payload("tasks.echo", "[2]"))) == [2], "what was taken back is passed over"


def test_a_drain_gives_back_what_has_not_begun(pool: Make, tmp_path: Path) -> None:
    driver = warmed_up(pool(concurrency=1))
    first = begun(driver, file := tmp_path / "begun")
    rest = [driver.submit(payload("tasks.echo", "[1]")) for _ in range(100)]
    driver.executor.withdraw("the worker is draining")
    given_back = [ended for ended in driver.wait(*rest) if ended.outcome == Release("the worker is draining", False)]
    assert len(given_back) == len(rest)
    file.unlink()
    assert driver.wait(first)[0].outcome == Success('"waited"')


def test_a_child_gets_so_many_runs_and_no_more(pool: Make) -> None:
    driver = pool(concurrency=1, max_runs=3)
    pids = [pid_of(driver) for _ in range(9)]
    assert pids == [pids[0]] * 3 + [pids[3]] * 3 + [pids[6]] * 3
    assert len(set(pids)) == 3
    driver.until(lambda: is_gone(pids[0]) and is_gone(pids[3]))


def test_the_next_child_is_there_before_the_last_has_served_its_time(pool: Make) -> None:
    driver = pool(concurrency=1, max_runs=100)
    template = driver.executor.template_pid  # type: ignore[attr-defined]
    for _ in range(80):
        pid_of(driver)
    assert len(children(template)) == 1
    driver.wait(*[driver.submit(payload("tasks.echo", "[1]")) for _ in range(15)])
    driver.until(lambda: len(children(template)) == 2)


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_child_that_has_grown_too_large_is_replaced_between_two_runs(pool: Make) -> None:
    driver = pool(concurrency=1, max_rss_bytes=200 << 20)
    first = pid_of(driver)
    assert pid_of(driver) == first
    time.sleep(0.06)  # memory is looked at twenty times a second
    assert values(driver, driver.submit(payload("tasks.keeps", f"[{300 << 20}]"))) == [300 << 20]
    assert pid_of(driver) != first


def test_a_child_that_is_killed_while_idle_is_replaced(pool: Make) -> None:
    driver = pool(concurrency=1)
    first = pid_of(driver)
    os.kill(first, signal.SIGKILL)
    driver.until(lambda: is_gone(first))
    assert pid_of(driver) != first


def test_what_a_run_leaves_behind_ends_with_its_child_at_the_latest(pool: Make) -> None:
    driver = pool(concurrency=1, max_runs=2)
    pids = values(driver, *[driver.submit(payload("tasks.leaves_a_grandchild", "[true]")) for _ in range(2)])
    driver.until(lambda: all(is_gone(pid) for pid in pids))


def test_a_killed_template_gives_back_what_was_begun_and_another_serves_the_rest(pool: Make, tmp_path: Path) -> None:
    driver = warmed_up(pool(concurrency=1))
    first = begun(driver, tmp_path / "begun")
    os.kill(driver.executor.template_pid, signal.SIGKILL)  # type: ignore[attr-defined]
    (ended,) = driver.wait(first)
    rest = [driver.submit(payload("tasks.echo", f"[{n}]")) for n in range(3)]
    assert isinstance(ended.outcome, Release)
    assert ended.outcome.started
    assert values(driver, *rest) == [0, 1, 2]


def test_what_waits_is_given_back_when_the_next_template_cannot_be_prepared(pool: Make, tmp_path: Path) -> None:
    marker = {"REPROQ_TEST_MARKER": str(tmp_path / "imported")}
    driver = pool(setup="tasks:setup_that_fails_the_second_time", extra=marker)
    os.kill(driver.executor.template_pid, signal.SIGKILL)  # type: ignore[attr-defined]
    driver.until(lambda: driver.executor.template_pid is None)  # type: ignore[attr-defined]
    (ended,) = driver.wait(driver.submit(payload("tasks.echo", "[1]")))
    reason = "no template could be prepared: another worker may take this one"
    assert ended.outcome == Release(reason, started=False)
    assert not driver.executor.ready


def test_context_variables_end_with_their_run(pool: Make) -> None:
    driver = warmed_up(pool(concurrency=1))
    assert values(driver, *[driver.submit(payload("tasks.sets_the_precision")) for _ in range(2)]) == [28, 28]


def test_large_payloads_and_replies_pass_through_several_at_once(pool: Make) -> None:
    driver = warmed_up(pool(concurrency=2))
    text = json.dumps(["x" * 300_000])
    for _ in range(4):
        keys = [driver.submit(payload("tasks.echo", text)) for _ in range(6)]
        done = [ended.outcome for ended in driver.wait(*keys) if not isinstance(ended.outcome, Release)]
        assert done
        assert {len(outcome.return_json) for outcome in done if isinstance(outcome, Success)} == {300_002}


def test_so_much_is_wanted_ahead_as_covers_the_way_and_nothing_of_long_runs() -> None:
    assert Pace().ahead(2, 1.0) == 0, "nothing is known yet"
    assert Pace(0.00095).ahead(2, 0.010) == 40
    assert Pace(0.0).ahead(8, 10.0) == MAX_AHEAD
    assert Pace(LONG_SECONDS).ahead(8, 10.0) == 0


def test_one_long_run_among_short_ones_does_not_stop_what_is_held_ahead_for_long() -> None:
    pace = Pace(0.001)
    for _ in range(3):
        pace.add(60.0)
    before = pace.ahead(2, 0.01)
    for _ in range(100):
        pace.add(0.001)
    assert 0 < before < pace.ahead(2, 0.01)
