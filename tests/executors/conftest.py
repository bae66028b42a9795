"""The executors under test, each with what it can do; the worker's one preparation, becoming a sub-reaper."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reproq.child.kernel import become_subreaper
from reproq.executors import Executor
from reproq.executors.command import CommandExecutor, Commands
from reproq.executors.environment import template_environment
from reproq.executors.fork import ForkExecutor
from reproq.executors.launched import Limits
from reproq.executors.mock import MockExecutor
from reproq.executors.pool import PoolExecutor
from reproq.executors.spawn import SpawnExecutor
from reproq.lifecycle import Success
from reproq.wire import Reply
from tests.executors.driver import Driver
from tests.plugins.bare import BARE_ENVIRONMENT

HERE = Path(__file__).parent
SOURCES = HERE.parent.parent / "src"


@dataclass(frozen=True)
class Features:
    """What an executor can do; it only gets the tests that this allows."""

    name: str
    runs_tasks: bool = True  # mock runs none
    our_child: bool = True  # a foreign program has neither our environment nor a private descriptor for its reply
    fresh_process: bool = True  # pool gives one process to many runs, and what a run leaves lives on in it
    descriptors: int = 1  # that our child holds beside the three of every process


EXECUTORS = [
    Features("fork"),
    Features("pool", fresh_process=False, descriptors=3),
    Features("spawn"),
    Features("command", our_child=False),
    Features("mock", our_child=False, runs_tasks=False, fresh_process=False),
]
GRACE_SECONDS = 0.3


def environment(**extra: str) -> dict[str, str]:
    base = BARE_ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([str(SOURCES), str(HERE)]), **extra}
    return template_environment(base)


def make_fork(setup: str = "tasks:setup", *, extra: dict[str, str] | None = None, **options: Any) -> ForkExecutor:
    options = {"kill_grace_seconds": GRACE_SECONDS, "timeout_seconds": 60.0} | options
    return ForkExecutor(setup, environment=environment(**(extra or {})), **options)


def make_spawn(*, extra: dict[str, str] | None = None, python: str = sys.executable, **limits: Any) -> SpawnExecutor:
    bounds = Limits(**({"kill_grace_seconds": GRACE_SECONDS, "timeout_seconds": 60.0} | limits))
    return SpawnExecutor("cold", environment=environment(**(extra or {})), python=python, limits=bounds)


def make_command(commands: Commands | None = None, **limits: Any) -> CommandExecutor:
    """Without commands of its own: the tasks of the suite, in a Python program that answers as any program does."""
    paths = "PYTHONPATH=" + os.pathsep.join([str(SOURCES), str(HERE)])
    python = ("/usr/bin/env", paths, "PYTHONHASHSEED=0", sys.executable, str(HERE / "foreign.py"))
    bounds = Limits(**({"kill_grace_seconds": GRACE_SECONDS, "timeout_seconds": 60.0} | limits))
    return CommandExecutor(commands or [("tasks.*", python)], environment=environment(), limits=bounds)


def make_mock() -> MockExecutor:
    return MockExecutor(0.02, concurrency=8)


def make_pool(setup: str = "tasks:setup", *, extra: dict[str, str] | None = None, **options: Any) -> PoolExecutor:
    options = {"kill_grace_seconds": GRACE_SECONDS, "timeout_seconds": 60.0, "concurrency": 4} | options
    return PoolExecutor(setup, environment=environment(**(extra or {})), **options)


@pytest.fixture(scope="session", autouse=True)
def _subreaper() -> None:
    become_subreaper()


MAKERS: dict[str, Callable[[], Executor]] = {
    "fork": make_fork,
    "pool": make_pool,
    "spawn": make_spawn,
    "command": make_command,
    "mock": make_mock,
}


def _drivers(features: Features, makers: dict[str, Callable[[], Executor]] = MAKERS) -> Iterator[Driver]:
    driver = Driver(makers[features.name](), features.descriptors)
    driver.wait_ready()
    yield driver
    driver.close()


@pytest.fixture(scope="module", params=EXECUTORS, ids=lambda features: features.name)
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """Every executor in turn, one for all tests of a module: the end of one run must never matter to the next."""
    yield from _drivers(request.param)


@pytest.fixture(scope="module", params=[f for f in EXECUTORS if f.runs_tasks], ids=lambda features: features.name)
def tasks(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """The same, of the executors that run tasks."""
    yield from _drivers(request.param)


@pytest.fixture(scope="module", params=[f for f in EXECUTORS if f.runs_tasks], ids=lambda features: features.name)
def light(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """The same, for what takes many runs and is about the worker's side of them: where each run starts a program, it is
    a shell that answers 1, for a fortieth of what an interpreter costs."""
    shell = tmp_path_factory.mktemp("light") / "shell"
    reply = Reply(Success("1")).encode().decode() if request.param.our_child else "1"
    shell.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{reply}'\n", "utf-8")
    shell.chmod(0o755)
    makers = MAKERS | {
        "spawn": lambda: make_spawn(python=str(shell)),
        "command": lambda: make_command([("tasks.*", (str(shell),))]),
    }
    yield from _drivers(request.param, makers)


@pytest.fixture(scope="module", params=[f for f in EXECUTORS if f.our_child], ids=lambda features: features.name)
def ours(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """The same, of the executors whose children are ours: pinned, with a private descriptor for the reply."""
    yield from _drivers(request.param)


@pytest.fixture(scope="module", params=[f for f in EXECUTORS if f.fresh_process], ids=lambda features: features.name)
def fresh(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """The same, of the executors that give every run a process of its own."""
    yield from _drivers(request.param)


@pytest.fixture
def fork() -> Iterator[Callable[..., Driver]]:
    """Makes drivers of fork executors with options of their own, and closes them."""
    made: list[Driver] = []

    def make(setup: str = "tasks:setup", **options: Any) -> Driver:
        made.append(Driver(make_fork(setup, **options)))
        return made[-1]

    yield make
    for driver in made:
        driver.close()
