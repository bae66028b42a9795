"""What `verify` looks at, how it asks, and that a healthy system, idle or at work, is never accused."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from reproq.lifecycle import Failure, Kind, Outcome, Release, Success
from reproq.loadtest import verify as verify_module
from reproq.loadtest.verify import Bounds, Invariant, Scope
from reproq.store.interventions import cancel, retry
from reproq.store.runs import requeue
from tests.acceptance.workers import statuses, wait_for, worker
from tests.loadtest.conftest import DAY_SECONDS, found, offences
from tests.loops.conftest import Bench

UNKNOWN = '{"kind": "unknown_task", "exception_class": "a.B", "message": "m", "attempt": 1}'
LONG_AGO = "enqueued_at = now() - interval '3 days', due_at = now() - interval '3 days'"
SUCCESSFUL = """
    status = 'SUCCESSFUL', return_value = '1', attempts = 1, worker_ids = '{w}',
    started_at = now() - interval '2 days', last_attempted_at = now() - interval '2 days'
"""


def test_an_empty_database_holds_every_promise(dsn: str) -> None:
    report = found(dsn)
    assert (offences(report), report.runs, report.is_whole) == ({}, 0, True)


def test_history_is_seen_within_the_window_and_unfinished_runs_always(
    dsn: str, pg: psycopg.Connection, enqueued: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_module, "BATCH_RUNS", 1)
    old, late, waiting, _ = (enqueued(number) for number in range(4))
    pg.execute(f"UPDATE task_runs SET {LONG_AGO}, max_attempts = 7 WHERE id <= %s", [waiting])
    pg.execute(f"UPDATE task_runs SET {SUCCESSFUL}, finished_at = now() - interval '2 days' WHERE id = %s", [old])
    pg.execute(f"UPDATE task_runs SET {SUCCESSFUL}, finished_at = now() WHERE id = %s", [late])
    pg.execute("ALTER TABLE task_runs DISABLE TRIGGER reproq_spec_immutable")
    pg.execute("UPDATE task_runs SET args = '[99]'")
    for window_seconds, times in ((DAY_SECONDS, 3), (5 * DAY_SECONDS, 4), (None, 4)):
        assert len(offences(found(dsn, window_seconds=window_seconds))["hash_is_of_the_spec"]) == times


def test_more_old_unfinished_runs_than_the_bound_leave_the_answer_open(
    dsn: str, pg: psycopg.Connection, enqueued: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_module, "BATCH_RUNS", 1)
    monkeypatch.setattr(verify_module, "MAX_OLDER_RUNS", 2)
    for number in range(4):
        enqueued(number)
    pg.execute(f"UPDATE task_runs SET {LONG_AGO}")
    report = found(dsn)
    assert (report.runs, report.is_cut, report.is_whole) == (3, True, False)
    assert found(dsn, window_seconds=None).is_whole


def test_a_run_that_postgresql_cannot_judge_does_not_hide_the_others(
    dsn: str, pg: psycopg.Connection, enqueued: Callable[..., int]
) -> None:
    ids = [enqueued(number) for number in range(20)]
    pg.execute("ALTER TABLE task_runs DISABLE TRIGGER reproq_spec_immutable")
    pg.execute("UPDATE task_runs SET args = %s::json WHERE id = %s", ["[" * 101 + "]" * 101, ids[3]])
    pg.execute("UPDATE task_runs SET args = '[99]' WHERE id = %s", [ids[11]])
    wrong = {offence.subject: offence.what for offence in offences(found(dsn))["hash_is_of_the_spec"]}
    assert wrong.keys() == {ids[3], ids[11]}
    assert "nested deeper than 100 levels" in wrong[ids[3]]


def test_an_invariant_without_an_answer_in_time_leaves_the_others_theirs(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Invariant("slow", Scope.NOW, "It sleeps.", "SELECT 1, pg_sleep(60)::text")
    wrong = Invariant("wrong", Scope.NOW, "It is wrong.", "SELECT 1, 'wrong'")
    monkeypatch.setattr(verify_module, "invariants", lambda: [slow, wrong])
    report = found(dsn, bounds=Bounds(statement_seconds=1.0))
    assert [finding.unanswered for finding in report.unanswered] == ["no answer within 1 s"]
    assert list(offences(report)) == ["wrong"]
    assert not report.is_whole


def test_what_is_gone_at_the_second_look_is_no_offence(
    dsn: str, pg: psycopg.Connection, enqueued: Callable[..., int]
) -> None:
    enqueued()
    pg.execute(f"UPDATE task_runs SET {LONG_AGO}")
    pg.execute(
        "INSERT INTO reproq_workers (worker_id, queues, started_at) VALUES ('w', '{*}', now() - interval '1 hour')"
    )
    assert list(offences(found(dsn))) == ["ready_runs_are_claimed"]
    looks = []

    def claim_meanwhile(seconds: float) -> None:
        looks.append(seconds)
        pg.execute("UPDATE task_runs SET queue_name = 'elsewhere', due_at = now()")

    assert offences(found(dsn, pause=claim_meanwhile)) == {}
    assert looks == [Bounds().pause_seconds]


@pytest.mark.parametrize(
    "excuse",
    [
        "UPDATE reproq_workers SET draining = true",
        "UPDATE reproq_workers SET last_seen_at = now() - interval '31 s'",
        "UPDATE reproq_workers SET started_at = now() - interval '50 s'",
        "UPDATE reproq_workers SET concurrency = 0",
        "UPDATE reproq_workers SET queues = '{mail}'",
        "INSERT INTO reproq_workers (worker_id, queues, concurrency) VALUES ('of-the-queue', '{default}', 0)",
        f"UPDATE task_runs SET errors = '[{UNKNOWN}]'",
    ],
)
def test_a_run_that_nobody_can_take_now_accuses_nobody(
    excuse: str, dsn: str, pg: psycopg.Connection, enqueued: Callable[..., int]
) -> None:
    enqueued()
    pg.execute(f"UPDATE task_runs SET {LONG_AGO}")
    pg.execute(
        "INSERT INTO reproq_workers (worker_id, queues, started_at) VALUES ('w', '{*}', now() - interval '1 hour')"
    )
    pg.execute(excuse)
    assert offences(found(dsn)) == {}


@pytest.mark.parametrize(
    "changes",
    [
        "status = 'FAILED', finished_at = now()",
        "status = 'FAILED', finished_at = now(), attempts = 1, worker_ids = '{w}'",
        "status = 'READY'",
    ],
)
def test_a_run_that_expired_before_it_started_breaks_no_promise(
    changes: str, dsn: str, pg: psycopg.Connection, enqueued: Callable[..., int]
) -> None:
    enqueued()
    expired = '[{"kind": "expired", "exception_class": "reproq.errors.RunExpired", "message": "late", "attempt": 0}]'
    pg.execute(f"UPDATE task_runs SET {changes}, errors = %s, run_after = now() + interval '1 h'", [expired])
    assert offences(found(dsn)) == {}


def test_a_running_run_whose_cancel_was_asked_for_breaks_no_promise(bench: Bench, dsn: str) -> None:
    one, _, _ = bench.worker()
    bench.enqueue(1)
    bench.steps(one)
    bench.pg.execute("UPDATE task_runs SET cancel_requested_at = %s", [bench.clock.now()])
    assert offences(found(dsn, clock=bench.clock.now)) == {}


UNSTARTED = Release("drain", started=False)
ENDS: list[Callable[[], Outcome]] = [
    *[lambda: Success("[1, 2.5]")] * 6,
    lambda: Failure(Kind.EXCEPTION, "builtins.ValueError", "broken", "Traceback …"),
    lambda: Failure(Kind.TIMEOUT, "reproq.errors.RunTimedOut", "too slow"),
    lambda: Failure(Kind.CHILD_DIED, "reproq.errors.ChildDied", "killed by SIGKILL"),
    lambda: Failure(Kind.UNKNOWN_TASK, "reproq.errors.UnknownTask", "no such task"),
    lambda: Failure(Kind.BAD_RETURN, "reproq.errors.BadReturn", "not storable"),
    lambda: Failure(Kind.CANCELLED, "reproq.errors.RunCancelled", "cancelled while it ran"),
    lambda: Release("drain", started=True),
    lambda: UNSTARTED,
]


@pytest.mark.slow
def test_five_thousand_mixed_runs_break_no_promise(bench: Bench, dsn: str) -> None:
    """Every way to end, retries, releases, cancels, manual retries, replays, lost workers; verified all along."""
    draw = random.Random(4)
    with bench.pg.transaction():
        ids = bench.enqueue(*range(4900), max_attempts=2, backoff_seconds=(5.0,))
        ids += bench.enqueue(*range(100), run_after=bench.clock.now().replace(year=2031))
    bench.clock.advance(60)  # starts are dated back by the real time that this machine takes to store them
    workers = [bench.worker(f"w-{number}", concurrency=250) for number in range(4)]
    for _, executor, _ in workers:
        executor.imports_once = False  # else no worker would start a second run of the one task, once it was unknown
    for round_number in range(200):
        for one, executor, _ in workers:
            bench.steps(one, 2)
            for key in draw.sample(sorted(executor.payloads), len(executor.payloads) * 3 // 4):
                outcome = draw.choice(ENDS)()
                executor.end(key, outcome, None if outcome == UNSTARTED else time.monotonic())
        if round_number in (2, 6):
            lost, executor, _ = workers.pop(0)  # its leases run out, and the others rescue what it held
            assert executor.payloads
            bench.workers.remove(lost)
            bench.stores.pop(lost._row.worker_id).close()
        if round_number in (0, 1, 3, 7, 12, 20):
            assert offences(found(dsn, clock=bench.clock.now)) == {}
            with bench.pg.cursor() as cursor:
                cancel(cursor, draw.sample(ids, 30), now=bench.clock.now())
                retry(cursor, ids[:1000], now=bench.clock.now())
                for run_id in draw.sample(ids, 20):
                    requeue(cursor, run_id, now=bench.clock.now())
        bench.clock.advance(20)
        if round_number > 20 and not {"READY", "RUNNING"} & bench.statuses().keys():
            break
    report = found(dsn, clock=bench.clock.now, window_seconds=None)
    assert offences(report) == {}
    assert report.runs >= 5000
    counts = bench.statuses()
    assert min(counts["SUCCESSFUL"], counts["FAILED"], counts["CANCELLED"]) > 100, counts


BACKLOG = """
INSERT INTO task_runs (task_path, args, enqueued_at, due_at, status)
SELECT
    'x.y', json_build_array(number), now() - interval '1 hour', now() - interval '1 hour',
    CASE WHEN number % 5 = 0 THEN 'SCHEDULED' ELSE 'READY' END
FROM generate_series(1, 1000) AS number
"""


@pytest.mark.slow
def test_workers_at_work_are_never_accused(dsn: str, tmp_path: Path, pg: psycopg.Connection) -> None:
    """A backlog that is overdue, two busy workers, and one look after the other until three saw them at work."""
    options = ("--executor", "mock", "--concurrency", "2")
    bounds = Bounds(lease_seconds=1.0, pause_seconds=2.5)  # a machine that stood still for two looks at nothing new
    looks = times_at_work = 0
    logs = tmp_path / "first.log", tmp_path / "second.log"
    with worker(dsn, logs[0], *options, EXEC_SLEEP="20ms"), worker(dsn, logs[1], *options, EXEC_SLEEP="20ms"):
        wait_for("two workers", lambda: pg.execute("SELECT count(*) FROM reproq_workers").fetchone() == (2,))
        while times_at_work < 3:
            assert looks < 20, f"only {times_at_work} of {looks} looks ended before the backlog of 1,000 runs did"
            if statuses(pg).get("READY", 0) < 1000:
                pg.execute(BACKLOG)
            assert offences(found(dsn, bounds=bounds, pause=time.sleep)) == {}
            looks += 1
            times_at_work += "READY" in statuses(pg)
        pg.execute("DELETE FROM task_runs WHERE status IN ('READY', 'SCHEDULED')")
        wait_for("the last runs", lambda: statuses(pg).keys() == {"SUCCESSFUL"})
        assert offences(found(dsn, bounds=bounds, pause=time.sleep)) == {}
