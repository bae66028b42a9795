"""Every run starts from the same memory image, the same seeds and the same environment."""

import json
import os

import pytest

from reproq.executors.environment import template_environment
from reproq.executors.fork import ForkExecutor
from reproq.executors.pool import PoolExecutor
from reproq.lifecycle import Success
from tests.executors.driver import Driver


def value_of(outcome: object) -> object:
    assert isinstance(outcome, Success), outcome
    return json.loads(outcome.return_json)


def test_the_environment_is_pinned(ours: Driver) -> None:
    first = value_of(ours.run("environment").outcome)
    assert isinstance(first, dict)
    assert (first["PYTHONHASHSEED"], first["PYTHONUTF8"], first["LC_ALL"]) == ("0", "1", "C.UTF-8")
    assert first["PYTHONUNBUFFERED"] is None
    assert value_of(ours.run("environment").outcome) == first


def test_random_numbers_follow_from_the_seed(tasks: Driver) -> None:
    first, second, other = (value_of(tasks.run("draws", seed=seed).outcome) for seed in (7, 7, 8))
    assert first == second != other


def test_what_one_run_leaves_in_globals_is_not_seen_by_the_next(fresh: Driver) -> None:
    assert value_of(fresh.run("remembers", '["first"]').outcome) == ["first"]
    assert value_of(fresh.run("remembers", '["second"]').outcome) == ["second"]


def test_a_child_is_an_ordinary_process_that_leads_its_own_session(ours: Driver) -> None:
    facts = value_of(ours.run("process_facts").outcome)
    assert isinstance(facts, dict)
    assert (facts.pop("parent") == os.getpid()) is not isinstance(ours.executor, ForkExecutor | PoolExecutor)
    sigpipe_and_sigxfsz = (1 << 12) | (1 << 24)  # what every Python ignores
    assert facts == {
        "leads a session": True,
        "oom score": 500,
        "blocked": 0,
        "ignored": sigpipe_and_sigxfsz,
        "stdin": "/dev/null",
        "sigint": True,
        "line buffered": True,
        "threads": 1,
    }


def test_a_broken_socket_raises_and_does_not_kill(tasks: Driver) -> None:
    assert value_of(tasks.run("reads_a_socket").outcome) == "BrokenPipeError"


def test_a_child_holds_nothing_but_its_own_descriptors(ours: Driver) -> None:
    found = value_of(ours.run("descriptors").outcome)
    assert isinstance(found, dict)
    assert {number for number in found if int(number) < 512} == {"0", "1", "2"}
    assert found["1"] == found["2"]
    assert found["1"].startswith("pipe:")
    assert len(found) == 3 + ours.descriptors


@pytest.mark.parametrize("name", ["PYTHONHASHSEED", "PYTHONUNBUFFERED", "LC_ALL", "PYTHONIOENCODING"])
def test_the_callers_environment_cannot_undo_the_pinned_one(name: str) -> None:
    found = template_environment({name: "random", "DATABASE_URL": "postgresql:///shop"})
    assert found == template_environment({"DATABASE_URL": "postgresql:///shop"})
    assert found["DATABASE_URL"] == "postgresql:///shop"
