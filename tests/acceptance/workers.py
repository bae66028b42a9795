"""Real workers as processes of their own, and what tests ask of them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from reproq.child import kernel

ROOT = Path(__file__).parents[2]
SETTINGS = "tests.acceptance.project.settings"
TASKS = "tests.acceptance.project.tasks"
QUICK = ("--lease", "5s", "--heartbeat", "500ms", "--poll-interval", "50ms", "--kill-grace", "500ms")
"""An answer of the database is waited for half a lease: two seconds for which everything stands still are no outage."""


def environment(dsn: str, **more: str) -> dict[str, str]:
    """What a worker's process sees: this interpreter's path, the project, the test's database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REPROQ_", "DATABASE_URL"))}
    return {
        **kept,
        "REPROQ_TEST_DSN": dsn,
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}",
        **more,
    }


def reproq(
    dsn: str, *arguments: str, check: bool = True, cwd: Path = ROOT, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "reproq", *arguments]
    result = subprocess.run(
        command, env=environment(dsn, **more), cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


@contextmanager
def worker(dsn: str, log: Path, *arguments: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that runs until the block ends; its log is in `log`."""
    with process(dsn, log, "worker", *QUICK, *arguments, **more) as started:
        yield started


@contextmanager
def process(dsn: str, log: Path, *arguments: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs until the block ends, or ends by itself; what it prints is in `log`."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "reproq", *arguments],
            env=environment(dsn, **more),
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGTERM)
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true answer of `condition`; fails, naming `what`, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.02)
    return answer


def statuses(pg: psycopg.Connection) -> dict[str, int]:
    """How many runs there are in each status."""
    return dict(pg.execute("SELECT status, count(*) FROM task_runs GROUP BY status").fetchall())


def command_lines(pid: int) -> list[bytes]:
    """What the process and all that descend from it show of themselves in `ps`; those that just end show nothing."""
    lines = []
    with suppress(FileNotFoundError, ProcessLookupError):
        lines.append(Path(f"/proc/{pid}/cmdline").read_bytes())
        for child in kernel.children_of(pid):
            lines += command_lines(child)
    return lines


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
