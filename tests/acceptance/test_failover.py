"""The primary is lost or demoted, its standby promoted: what was committed synchronously is done, and work goes on."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from reproq_django.embedded.server import Server
from tests.acceptance.replicas import demote, follow, primary_in, promote, standby_of
from tests.acceptance.workers import TASKS, alive, reproq, statuses, wait_for, worker
from tests.plugins.databases import prepare

LEASE = ("--lease", "12s", "--heartbeat", "2s")  # nobody is to be late, whatever the machine does
ENQUEUE = f"SELECT reproq_enqueue('{TASKS}.leave_marks', json_build_array(%s::text, 0.02))"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Server, Server, str]]:
    """A primary and its synchronous standby, and the name of a migrated database."""
    with ExitStack() as stack:
        primary = primary_in(tmp_path / "first")
        stack.callback(primary.stop, "immediate")
        name = str(conninfo.conninfo_to_dict(prepare(primary.conninfo()))["dbname"])
        standby = standby_of(primary, tmp_path / "second")
        stack.callback(standby.stop, "immediate")
        yield primary, standby, name


def address(name: str, *servers: Server) -> str:
    """One address of a database, which names every server; libpq takes the one that is the primary."""
    hosts = ",".join(str(server.socket_folder) for server in servers)
    return conninfo.make_conninfo(servers[0].conninfo(name), host=hosts, target_session_attrs="read-write")


class Producer(threading.Thread):
    """Enqueues until it is stopped, whatever becomes of the server; `ledger` has the names of the runs whose commit was
    acknowledged."""

    def __init__(self, dsn: str, folder: Path) -> None:
        super().__init__(daemon=True)
        self.ledger: list[str] = []
        self._dsn = dsn
        self._folder = folder
        self._stopping = threading.Event()

    def run(self) -> None:
        tried = 0
        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._dsn, autocommit=True) as pg:
                    while not self._stopping.wait(0.02):
                        tried += 1
                        pg.execute(ENQUEUE, [str(self._folder / f"run-{tried}")])
                        self.ledger.append(f"run-{tried}")
            except psycopg.OperationalError:
                self._stopping.wait(0.05)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def changes(log: Path) -> list[str]:
    """What a worker's log says of the database, in order."""
    words = ("database lost", "database back")
    return [word for line in log.read_text().splitlines() for word in words if word in line]


@pytest.mark.slow
def test_a_fail_over_under_load_loses_nothing_that_was_committed_synchronously(
    servers: tuple[Server, Server, str], tmp_path: Path
) -> None:
    primary, standby, name = servers
    dsn = address(name, primary, standby)
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    producer = Producer(dsn, tmp_path)
    with worker(dsn, logs[0], *LEASE) as first, worker(dsn, logs[1], *LEASE) as second:
        producer.start()
        with psycopg.connect(dsn, autocommit=True) as pg:
            wait_for("work to be under way", lambda: statuses(pg).get("SUCCESSFUL", 0) > 40)
        primary.stop("immediate")
        before = len(producer.ledger)
        promote(standby)
        wait_for("the producer to go on", lambda: len(producer.ledger) > before + 40)
        producer.stop()
        with psycopg.connect(dsn, autocommit=True) as pg:
            wait_for("all runs to end", lambda: statuses(pg).keys() == {"SUCCESSFUL"}, 60)
            kept = {Path(file).name for (file,) in pg.execute("SELECT args ->> 0 FROM task_runs")}
            counted = pg.execute("SELECT DISTINCT attempts, failures FROM task_runs").fetchall()
        assert alive(first.pid)
        assert alive(second.pid)
    assert set(producer.ledger) <= kept
    assert all("ended\n" in (tmp_path / run).read_text() for run in kept)
    assert counted == [(1, 0)]
    assert [changes(log) for log in logs] == [["database lost", "database back"]] * 2
    assert (first.returncode, second.returncode) == (0, 0)
    assert reproq(dsn, "verify", *LEASE, "--skip", "crash_safe_settings").returncode == 0


@pytest.mark.slow
def test_a_worker_leaves_a_server_that_is_demoted_and_comes_back_when_it_is_the_primary_again(
    servers: tuple[Server, Server, str], tmp_path: Path
) -> None:
    one, other, name = servers
    dsn = address(name, one, other)
    log, waiting_log = tmp_path / "worker.log", tmp_path / "waiting.log"

    def enqueue_and_wait(run: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as pg:
            pg.execute(ENQUEUE, [str(tmp_path / run)])
            wait_for("the run to end", lambda: statuses(pg).keys() == {"SUCCESSFUL"})

    with worker(dsn, log, *LEASE):
        with worker(address(name, other), waiting_log, *LEASE) as waiting:
            enqueue_and_wait("at-first")
            wait_for("the other to find a standby", lambda: "a standby answers" in waiting_log.read_text())
            demote(one)  # whoever is connected stays, and may only read
            wait_for("the worker to leave it", lambda: changes(log) == ["database lost"])
            assert "a standby answers" in log.read_text()
            one.stop("fast")
            promote(other)
            wait_for("the other to begin", lambda: "worker.started" in waiting_log.read_text())
        assert changes(waiting_log) == ["database lost", "database back"]
        assert waiting.returncode == 0
        follow(one, other)
        enqueue_and_wait("after-the-switch")
        other.stop("immediate")
        promote(one)
        enqueue_and_wait("back-again")
    assert changes(log) == ["database lost", "database back"] * 2
    assert reproq(dsn, "verify", *LEASE, "--skip", "crash_safe_settings").returncode == 0
