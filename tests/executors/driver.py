"""The loop of a worker in small: owns a selector, steps one executor until something is true, with a deadline."""

import itertools
import os
import selectors
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reproq.executors import Ended, Executor
from reproq.executors.attempt import Phase
from reproq.executors.fork import ForkExecutor
from reproq.executors.pool import PoolExecutor
from reproq.lifecycle import Key
from reproq.spec import hash_document
from reproq.wire import Payload

PATIENCE_SECONDS = 60.0
"""For what comes within milliseconds, unless the machine has other things to do."""


def alive(pid: int) -> bool:
    """Whether a process runs: neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_gone(pid: int) -> bool:
    """Whether not even a zombie is left."""
    return not os.path.exists(f"/proc/{pid}")


def payload(
    task: str = "tasks.echo", args_json: str = "[]", kwargs_json: str = "{}", *, run_id: int = 1, **changes: Any
) -> Payload:
    """The payload of one attempt, its hash right unless told otherwise."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "result_id": f"{run_id}-0000000000000000",
        "backend": "default",
        "attempt": 1,
        "max_attempts": 3,
        "task_path": task,
        "args_json": args_json,
        "kwargs_json": kwargs_json,
        "queue_name": "default",
        "priority": 0,
        "run_after": None,
        "enqueued_at": "2030-01-01T00:00:00+00:00",
        "started_at": None,
        "last_attempted_at": None,
        "worker_ids": ("w-1",),
        "errors_json": "[]",
        "timeout_seconds": None,
        "seed": 42,
    }
    if "spec_hash" not in changes:
        values["spec_hash"] = hash_document(task, args_json, kwargs_json)
    return Payload(**(values | changes))


class Driver:
    """Steps an executor. `run` is the whole life of one attempt."""

    def __init__(self, executor: Executor, descriptors: int = 1) -> None:
        self.executor = executor
        self.descriptors = descriptors
        self.selector = selectors.DefaultSelector()
        self.ended: dict[Key, Ended] = {}
        self.notices: list[str] = []
        self._numbers = itertools.count(1)
        executor.start(self.selector)

    def step(self, longest_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for a descriptor or the executor's deadline, and act."""
        deadline = self.executor.deadline()
        if deadline is not None:
            longest_seconds = min(longest_seconds, max(0.0, deadline - time.monotonic()))
        for found, _ in self.selector.select(longest_seconds):
            found.data()
        self.executor.tick()
        for ended in self.executor.take_ended():
            assert ended.key not in self.ended, "a run ended twice"
            self.ended[ended.key] = ended
        self.notices += self.executor.take_notices()

    def until(self, condition: Callable[[], bool], patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Step until the condition is true; fail after the patience."""
        end = time.monotonic() + patience_seconds
        while not condition():
            left = end - time.monotonic()
            assert left > 0, f"gave up after {patience_seconds} s; notices: {self.notices}"
            self.step(min(left, 0.05))

    def wait_ready(self) -> None:
        self.until(lambda: self.executor.ready)

    def submit(self, what: Payload) -> Key:
        key = (what.run_id, next(self._numbers))
        self.executor.submit(key, what)
        return key

    def wait(self, *keys: Key) -> list[Ended]:
        """The ends of these runs."""
        self.until(lambda: all(key in self.ended for key in keys))
        return [self.ended[key] for key in keys]

    def run(self, task: str = "echo", args_json: str = "[]", kwargs_json: str = "{}", **changes: Any) -> Ended:
        """Submit one run of a task and wait for its end."""
        return self.wait(self.submit(payload(f"tasks.{task}", args_json, kwargs_json, **changes)))[0]

    def close(self) -> None:
        self.executor.close()
        assert not self.selector.get_map(), f"left registered: {list(self.selector.get_map().values())}"
        self.selector.close()


def open_descriptors(driver: Driver) -> int:
    """How many descriptors are open here, once a pool has all of its children: each that is still to come adds some."""
    if isinstance(pool := driver.executor, PoolExecutor):
        driver.until(lambda: pool._crew is not None and len(pool._crew.serving) == pool._concurrency)
    return len(os.listdir("/proc/self/fd"))


def waiting(driver: Driver) -> list[int]:
    """The children that were forked ahead, and are there."""
    assert isinstance(driver.executor, ForkExecutor)
    spares = driver.executor._brood.spares
    return [one.process.pid for one in spares if one.process is not None and one.phase is Phase.SPARE]
