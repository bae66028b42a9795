"""Tasks that end in every way."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from django.db import connection
from django.tasks import task

from reproq_django import options
from tests.executors import hostile


@task
def add(first: int, second: int) -> int:
    return first + second


@task
def backend_pid() -> int:
    """The server process behind this run's own connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


@task
def draw() -> str:
    """Something else each time, wherever it runs."""
    return os.urandom(8).hex()


@task
def interpreter() -> list[str]:
    return [sys.executable, os.environ.get("PYTHONHASHSEED", "")]


@task
@options(max_attempts=2, backoff=0.05)
def fail(words: str) -> None:
    raise ValueError(words)


@task
@options(max_attempts=2, backoff=0.05)
def say_and_fail(words: str) -> None:
    print(words)
    raise ValueError(words)


@task
def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


@task
def leave_marks(file: str, seconds: float) -> None:
    """Writes a line when it begins, and one when it ends, so that a second execution shows."""
    for word, wait_seconds in (("began", seconds), ("ended", 0)):
        with open(file, "a") as marks:
            marks.write(f"{word}\n")
        time.sleep(wait_seconds)


@task
@options(backoff=0)
def wait_at(gate: str, file: str) -> None:
    """Writes a line when it begins, and one when somebody has made the file `gate`."""
    with open(file, "a") as marks:
        marks.write("began\n")
    while not os.path.exists(gate):
        time.sleep(0.02)
    with open(file, "a") as marks:
        marks.write("ended\n")


@task
@options(backoff=0.05)
def sleep_with_descendants(folder: str, seconds: float) -> str:
    """Starts a grandchild, and one that left the session, writes all pids, and sleeps."""
    same_session = subprocess.Popen(["sleep", "600"])
    own_session = subprocess.Popen(["sleep", "600"], start_new_session=True)
    pids = f"{os.getpid()} {same_session.pid} {own_session.pid} {os.getppid()}"
    with open(os.path.join(folder, f"pids-{os.getpid()}.part"), "w") as file:
        file.write(pids)
    os.rename(file.name, file.name.removesuffix(".part"))
    if not os.path.exists(os.path.join(folder, "let-go")):
        time.sleep(seconds)
    return "slept"


@task
@options(max_attempts=3, backoff=0.05)
def return_and_count(folder: str, what: str) -> object:
    """Returns a value that is hard to store, and leaves a mark each time that it runs."""
    with open(os.path.join(folder, "ran"), "a") as file:
        file.write("x")
    values = {
        "zero": "a\0b",
        "nan": float("nan"),
        "surrogate": "a\ud800b",
        "large": "x" * (10 * 1024 * 1024),
    }
    return values[what]


@task
@options(max_attempts=2, backoff=0.05)
def kill_worker() -> None:
    """Poison: takes its worker (the parent of the template) along, every time."""
    with open(f"/proc/{os.getppid()}/stat") as file:
        worker = int(file.read().rpartition(") ")[2].split()[1])
    os.kill(worker, signal.SIGKILL)
    time.sleep(60)


@task
@options(max_attempts=1, timeout=1.5)
def harm(name: str, arguments: list[object]) -> object:
    """One of the tasks that mean harm."""
    return getattr(hostile, name)(*arguments)


@task
@options(max_attempts=2, backoff=0.05)
def ignore_term(seconds: float, mark: str = "") -> str:
    """Does not let itself be stopped by TERM; makes the file `mark` when it has begun."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mark:
        Path(mark).touch()
    print("deaf", flush=True)
    time.sleep(seconds)
    return "slept"


@task
@options(expires_in="1s")
def must_start_soon() -> str:
    return "started"


@task
def say(words: str) -> None:
    """Prints, logs, and writes as C code does."""
    print(words)
    logging.getLogger("shop").warning("logged: %s", words)
    os.write(2, b"raw \xff\0 \x1b[31m bytes\n")


@task
def flood(megabytes: int) -> str:
    block = b"x" * (1 << 20)
    os.write(1, b"first line\n")
    for _ in range(megabytes):
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(1, rest) :]
    os.write(1, b"\nlast line\n")
    return "flooded"


@task
def queries_kept(count: int) -> list[int]:
    """How many queries Django remembers before and after some."""
    before = len(connection.queries)
    with connection.cursor() as cursor:
        for _ in range(count):
            cursor.execute("SELECT 1")
    return [before, len(connection.queries)]


@task
@options(max_attempts=1)
def resize(width: int) -> dict[str, int]:
    """A stub: a program is mapped to it."""
    raise AssertionError("the body of a stub is never called")


if os.environ.get("PROJECT_RELEASE") != "old":

    @task
    def came_with_the_new_release() -> str:
        return "new"


@task
def variables(names: list[str]) -> dict[str, str]:
    """Those of these variables that a task sees."""
    return {name: os.environ[name] for name in names if name in os.environ}
