"""The worker as PID 1, as in a container: it obeys TERM at every moment, and reaps what the kernel hands to it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reproq.child import kernel
from tests.acceptance.workers import QUICK, ROOT, environment, statuses, wait_for

AS_ROOT_OF_ITS_OWN = () if os.geteuid() == 0 else ("--user", "--map-root-user")
UNSHARE = ("unshare", *AS_ROOT_OF_ITS_OWN, "--pid", "--fork", "--kill-child", "--mount-proc")


def namespaces_work() -> bool:
    return bool(shutil.which("unshare")) and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not namespaces_work(),
    reason="not on this platform: the kernel, or a container around us, allows no PID namespace",
)


@contextmanager
def pid_one(dsn: str, log: Path, *command: str, **more: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A command as PID 1 of a namespace: the `unshare` that reports its exit code, and its pid as we see it."""
    with log.open("ab") as output:
        outer = subprocess.Popen(
            [*UNSHARE, sys.executable, "-m", "reproq", *command],
            env=environment(dsn, **more),
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        (pid,) = wait_for("the namespace", lambda: kernel.children_of(outer.pid), 10)
        yield outer, pid
    finally:
        if outer.poll() is None:
            outer.kill()  # --kill-child takes PID 1 along, and that the whole namespace
        outer.wait()


def enter(pid: int, script: str) -> None:
    """Run a shell in the namespace of `pid`, as `docker exec` and health checks do."""
    user = ("--user", "--preserve-credentials") if AS_ROOT_OF_ITS_OWN else ()
    subprocess.run(["nsenter", "--target", str(pid), *user, "--pid", "--mount", "sh", "-c", script], check=True)


def is_served(pg: psycopg.Connection) -> bool:
    return pg.execute("SELECT pid FROM reproq_workers").fetchall() == [(1,)]


def test_term_lets_runs_end_and_the_exit_code_is_zero(
    dsn: str, log: Path, tmp_path: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("wait_at", str(tmp_path / "gate"), str(tmp_path / "marks"))
    with pid_one(dsn, log, "worker", *QUICK) as (outer, pid):
        wait_for("the run to start", lambda: statuses(pg) == {"RUNNING": 1})
        os.kill(pid, signal.SIGTERM)
        wait_for("the drain", lambda: "worker.draining" in log.read_text())
        (tmp_path / "gate").touch()
        assert outer.wait(20) == 0, log.read_text()
    assert statuses(pg) == {"SUCCESSFUL": 1}
    assert pg.execute("SELECT count(*) FROM reproq_workers").fetchone() == (0,)


@pytest.mark.parametrize("executor", ["fork", "spawn", "mock"])
def test_orphans_that_the_kernel_hands_over_are_reaped_while_the_worker_is_idle(
    executor: str, dsn: str, log: Path, pg: psycopg.Connection
) -> None:
    arguments = ("--executor", executor, "--poll-interval", "1h", "--heartbeat", "1h", "--lease", "4h")
    with pid_one(dsn, log, "worker", *QUICK, *arguments) as (outer, pid):
        wait_for("the worker", lambda: is_served(pg))
        own = set(kernel.children_of(pid))
        enter(pid, "sleep 600 & sleep 600 & exit 0")
        wait_for("PID 1 to be their parent", lambda: len(set(kernel.children_of(pid)) - own) == 2, 10)
        for orphan in (adopted := set(kernel.children_of(pid)) - own):
            os.kill(orphan, signal.SIGKILL)
        wait_for("the orphans to be reaped", lambda: not adopted & set(kernel.children_of(pid)), 10)
        assert own <= set(kernel.children_of(pid)), "what the executor waits for is left to it"
        assert outer.poll() is None


def test_a_child_that_dies_is_told_apart_from_an_orphan(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    """Whoever reaps everything takes exit codes away from those who wait for them."""
    results = [enqueue("add", number, 1) for number in range(3)]
    with pid_one(dsn, log, "worker", *QUICK, "--executor", "spawn", "--burst") as (outer, _):
        assert outer.wait(60) == 0, log.read_text()
    for result in results:
        result.refresh()
    assert [result.return_value for result in results] == [1, 2, 3]


def test_term_ends_a_worker_that_is_still_starting(dsn: str, log: Path, tmp_path: Path) -> None:
    """The kernel drops a signal of PID 1 that nobody handles; no worker is there yet that could."""
    (tmp_path / "slow_settings.py").write_text(
        f"import pathlib, time\npathlib.Path({str(tmp_path / 'starting')!r}).touch()\ntime.sleep(60)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "src")])
    with pid_one(dsn, log, "worker", DJANGO_SETTINGS_MODULE="slow_settings", PYTHONPATH=path) as (outer, pid):
        wait_for("the settings to be imported", (tmp_path / "starting").exists)
        os.kill(pid, signal.SIGTERM)
        assert outer.wait(20) == 128 + signal.SIGTERM


def test_a_worker_that_was_started_with_sigchld_ignored_learns_how_its_runs_ended(
    dsn: str, log: Path, pg: psycopg.Connection, enqueue: Callable[..., Any]
) -> None:
    enqueue("add", 1, 2)
    ignoring = "import os, sys; from signal import *; signal(SIGCHLD, SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", ignoring, sys.executable, "-m", "reproq", "worker", "--burst"]
    ended = subprocess.run(command, env=environment(dsn), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, statuses(pg)) == (0, {"SUCCESSFUL": 1}), ended.stderr
