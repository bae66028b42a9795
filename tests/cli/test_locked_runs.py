"""Runs whose rows somebody's transaction holds: who changes one by hand is told of it, in time."""

import json
import re
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from reproq.errors import RunLocked
from reproq.lifecycle import Status
from reproq.store import interventions
from reproq.store import locked as locked_module
from reproq.store.db import Database
from reproq.store.locked import bounded, looking
from tests.acceptance.workers import statuses
from tests.cli.conftest import Result
from tests.store.held import NAME, locked, table_locked
from tests.store.rows import insert


@pytest.fixture
def run_id(pg: psycopg.Connection) -> int:
    with pg.cursor() as cursor:
        return insert(cursor, Status.READY)


@pytest.mark.waits
def test_a_cancel_ends_at_its_time_and_names_the_run_and_the_session_that_holds_its_row(
    dsn: str, pg: psycopg.Connection, reproq: Callable[..., Result], run_id: int
) -> None:
    with locked(dsn, [run_id]) as other:
        pid = other.info.backend_pid
        refused = reproq("cancel", str(run_id), "--wait", "2500ms")  # which a busy machine may take to look who it is
        assert (refused.returncode, refused.stdout) == (1, "")
        assert re.fullmatch(
            f"Error: nothing was changed: run {run_id} could not be written to within 2.5 s, because its row is locked "
            rf"by the transaction of pid {pid} \({NAME}\), open for \d+ s; "
            rf"let that commit or roll back \(SELECT pg_terminate_backend\({pid}\) ends it\), then try again\n",
            refused.stderr,
        )
        told = json.loads(reproq("cancel", str(run_id), "--wait", "100ms", "--json").stdout)
        assert told["exception_class"] == "reproq.errors.RunLocked"
    assert statuses(pg) == {"READY": 1}
    assert reproq("cancel", str(run_id)).returncode == 0


def test_a_cancel_may_wait_for_longer_than_the_server_can_count(reproq: Callable[..., Result], run_id: int) -> None:
    cancelled = reproq("cancel", str(run_id), "--wait", "30d")
    assert (cancelled.returncode, cancelled.stdout, cancelled.stderr) == (0, f"run {run_id} is cancelled\n", "")


@pytest.mark.parametrize("command", ["status", "runs list", "runs show 1", "runs logs 1"])
def test_who_looks_while_somebody_lets_nobody_read_is_told_in_time_who_that_is(
    dsn: str, reproq: Callable[..., Result], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locked_module, "LOCK_SECONDS", 0.3)
    with table_locked(dsn) as other:
        pid = other.execute("SELECT pg_backend_pid()").fetchone()[0]
        refused = reproq(*command.split())
        assert (refused.returncode, refused.stdout) == (1, "")
        assert re.fullmatch(
            "Error: nothing could be read within 0.3 s, because a table is locked by the transaction of "
            rf"pid {pid} \({NAME}\), open for \d+ s; let that commit or roll back "
            rf"\(SELECT pg_terminate_backend\({pid}\) ends it\), then try again\n",
            refused.stderr,
        )
        told = json.loads(reproq(*command.split(), "--json").stdout)
        assert told["exception_class"] == "reproq.errors.RunLocked"


def test_who_looks_bounds_no_other_transaction_and_no_long_reading(dsn: str) -> None:
    database, settings = Database(dsn, "test"), "SELECT current_setting('lock_timeout'), current_setting(%s)"
    with looking(database) as cursor:
        assert cursor.execute(settings, ["statement_timeout"]).fetchone() == ("5s", "0")
    with database.transaction() as cursor:
        assert cursor.execute(settings, ["statement_timeout"]).fetchone() == ("0", "0")
    database.close()


def test_a_replay_waits_for_no_row(
    dsn: str, pg: psycopg.Connection, reproq: Callable[..., Result], run_id: int
) -> None:
    with locked(dsn, [run_id]) as other:
        assert reproq("replay", str(run_id)).returncode == 0
        assert other.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS, "it was not waited for"
    assert statuses(pg) == {"READY": 2}


@pytest.mark.waits
def test_who_waits_behind_others_is_told_of_the_one_that_all_wait_for(dsn: str, run_id: int) -> None:
    with (
        locked(dsn, [run_id]) as other,
        psycopg.connect(dsn, autocommit=True) as looker,
        psycopg.connect(dsn, application_name="impatient") as between,
        between.pipeline(),
    ):
        between.execute("UPDATE task_runs SET priority = 1 WHERE id = %s", [run_id])  # sent, and not waited for
        while not looker.execute("SELECT pg_blocking_pids(%s)", [between.info.backend_pid]).fetchone()[0]:
            pass
        told, pid = refusal(dsn, [run_id], 2.5), other.info.backend_pid
        other.rollback()
    assert f"pid {pid} (" in told
    assert "impatient" not in told


def test_of_several_runs_those_that_are_locked_are_named(dsn: str, pg: psycopg.Connection, run_id: int) -> None:
    with pg.cursor() as cursor:
        ids = [run_id, *(insert(cursor, Status.READY) for _ in range(2))]
    with locked(dsn, ids[1:]):
        assert f"runs {ids[1]}, {ids[2]} could not be written to within 0.5 s, because their rows are" in refusal(
            dsn, ids
        )


class Late(Database):
    """Connects when the test lets it: after whoever wanted to know has given up waiting."""

    def __init__(self, dsn: str, name: str) -> None:
        super().__init__(dsn, name)
        self.is_asked, self.may_connect = threading.Event(), threading.Event()
        self.is_closed = threading.Event()

    def twin(self) -> "Late":
        return self

    def connected(self) -> psycopg.Connection[Any]:
        self.is_asked.set()
        assert self.may_connect.wait(20)
        return super().connected()

    def close(self) -> None:
        super().close()
        if self.may_connect.is_set():
            self.is_closed.set()


def test_a_look_that_comes_too_late_leaves_no_connection_behind(
    dsn: str, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locked_module, "LOOK_EVERY_SECONDS", 0.01)
    database, onlooker = Database(dsn, "test"), Late(dsn, "onlooker")
    with database.transaction() as cursor, bounded(cursor, [run_id], 0.5, onlooker):
        assert onlooker.is_asked.wait(20)
    database.close()
    onlooker.may_connect.set()
    assert onlooker.is_closed.wait(20)
    assert onlooker._connection is None


def refusal(dsn: str, run_ids: list[int], seconds: float = 0.5) -> str:
    """What whoever cancels these runs is told after so long."""
    database = Database(dsn, "test")
    try:
        with (
            pytest.raises(RunLocked) as refused,
            database.transaction() as cursor,
            bounded(cursor, run_ids, seconds, database.twin()),
        ):
            interventions.cancel(cursor, run_ids)
    finally:
        database.close()
    return str(refused.value)
