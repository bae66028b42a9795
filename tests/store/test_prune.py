"""Pruning: what goes and what stays, a bounded look at a time, without waiting for anybody."""

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Cursor

from reproq.lifecycle import Status
from reproq.retention import Retention, retention, rules
from reproq.store.db import Database
from reproq.store.retention import START, Position, PruneRuns, outlook, preview, prune, queue_has_run
from tests.store.rows import NOW, every_row, insert

DAYS = timedelta(days=1)
BY_DEFAULT = retention("successful=30d,failed=90d")


def ended(cursor: Cursor, days_ago: float, status: Status = Status.SUCCESSFUL, **columns: Any) -> int:
    """A run that reached its final status so many days ago."""
    moment = NOW - days_ago * DAYS
    times = dict.fromkeys(("enqueued_at", "due_at", "started_at", "last_attempted_at", "finished_at"), moment)
    return insert(cursor, status, **(times | columns))


def prune_all(cursor: Cursor, policy: Retention = BY_DEFAULT, limit: int = 100, now: datetime = NOW) -> int:
    """Every rule's walk to its end; how many runs went."""
    deleted = 0
    for rule in rules(policy):
        position = START
        while True:
            answer = prune(cursor, "default", rule, position, limit, now)
            deleted, position = deleted + answer.deleted, answer.position
            if answer.looked < limit:
                break
    return deleted


def left(cursor: Cursor) -> set[int]:
    return {row[0] for row in cursor.execute("SELECT id FROM task_runs").fetchall()}


def test_runs_go_when_their_age_is_up_by_status(cursor: Cursor) -> None:
    young = {ended(cursor, 29), ended(cursor, 89, Status.FAILED), ended(cursor, 89, Status.CANCELLED)}
    old = {ended(cursor, 31), ended(cursor, 91, Status.FAILED), ended(cursor, 91, Status.CANCELLED)}
    assert prune_all(cursor) == len(old)
    assert left(cursor) == young


def test_a_run_that_is_not_finished_is_never_deleted_however_old(cursor: Cursor) -> None:
    long_ago = {"enqueued_at": NOW - 900 * DAYS, "due_at": NOW - 900 * DAYS}
    for status in (Status.WAITING, Status.SCHEDULED, Status.READY, Status.RUNNING):
        insert(cursor, status, **long_ago)
    before = every_row(cursor)
    assert prune_all(cursor, retention("1s")) == 0
    assert every_row(cursor) == before


def test_queues_go_by_their_own_ages(cursor: Cursor) -> None:
    kept = {ended(cursor, 500, queue_name="audit"), ended(cursor, 6, queue_name="mail"), ended(cursor, 29)}
    ended(cursor, 8, queue_name="mail")
    ended(cursor, 8, Status.FAILED, queue_name="mail")
    ended(cursor, 31)
    assert prune_all(cursor, retention({"queues": {"mail": "7d", "audit": "off"}})) == 3
    assert left(cursor) == kept


def test_runs_of_another_backend_are_its_own_affair(cursor: Cursor) -> None:
    other = ended(cursor, 900, backend="reports")
    assert prune_all(cursor) == 0
    assert left(cursor) == {other}


def test_logs_go_with_their_runs_and_no_others(cursor: Cursor) -> None:
    old, young = ended(cursor, 31), ended(cursor, 1)
    cursor.execute(
        "INSERT INTO reproq_logs (run_id, attempt, head) SELECT run_id, attempt, 'hello'"
        " FROM unnest(%s::bigint[]) AS run_id, generate_series(1, 2) AS attempt",
        [[old, young]],
    )
    prune_all(cursor)
    rows = cursor.execute("SELECT run_id, count(*) FROM reproq_logs GROUP BY run_id").fetchall()
    assert rows == [(young, 2)]


def test_a_replay_outlives_the_run_that_it_replays_and_goes_on_naming_it(cursor: Cursor) -> None:
    original = ended(cursor, 31)
    replay = ended(cursor, 1, replay_of=original)
    prune_all(cursor)
    assert cursor.execute("SELECT id, replay_of FROM task_runs").fetchall() == [(replay, original)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_a_walk_sees_every_run_once_whatever_its_stride_also_where_many_ended_at_one_moment(
    cursor: Cursor, limit: int
) -> None:
    kept = {ended(cursor, 40, Status.FAILED) for _ in range(5)} | {ended(cursor, 2)}
    for days in (40, 40, 40, 41, 42, 40):
        ended(cursor, days)
    assert prune_all(cursor, limit=limit) == 6
    assert left(cursor) == kept


def test_a_step_looks_at_no_more_than_its_limit_and_remembers_where_it_stands(cursor: Cursor) -> None:
    first, second = ended(cursor, 50), ended(cursor, 40)
    one = prune(cursor, "default", rules(BY_DEFAULT)[0], START, 1, NOW)
    assert (one.deleted, one.looked, one.position) == (1, 1, Position(NOW - 50 * DAYS, first))
    assert left(cursor) == {second}
    end = prune(cursor, "default", rules(BY_DEFAULT)[0], Position(NOW - 40 * DAYS, second), 10, NOW)
    assert (end.deleted, end.looked, end.position.run_id) == (0, 0, second)


def test_what_somebody_holds_is_left_and_nobody_waits(dsn: str, pg: psycopg.Connection) -> None:
    with pg.cursor() as cursor:
        held, free = ended(cursor, 40), ended(cursor, 40)
    with psycopg.connect(dsn) as other, pg.cursor() as cursor:
        other.execute("SELECT FROM task_runs WHERE id = %s FOR UPDATE", [held])
        assert prune_all(cursor) == 1
        assert left(cursor) == {held}
    with pg.cursor() as cursor:
        assert free not in left(cursor)
        assert prune_all(cursor) == 1


def test_two_never_prune_at_once(dsn: str, pg: psycopg.Connection) -> None:
    with pg.cursor() as cursor:
        ended(cursor, 40)
        ended(cursor, 41)
    rule = rules(BY_DEFAULT)[0]
    with psycopg.connect(dsn) as other, other.cursor() as first, pg.cursor() as second:
        assert prune(first, "default", rule, START, 1, NOW).deleted == 1
        late = prune(second, "default", rule, START, 10, NOW)
        assert (late.is_ours, late.deleted, late.position) == (False, 0, START)
        other.commit()
        assert prune(second, "default", rule, START, 10, NOW).deleted == 1


def test_a_commit_of_pruning_waits_for_no_flush_and_leaves_the_session_as_it_was(
    dsn: str, pg: psycopg.Connection
) -> None:
    with pg.transaction(), pg.cursor() as cursor:
        prune(cursor, "default", rules(BY_DEFAULT)[0], START, 1, NOW)
        assert cursor.execute("SHOW synchronous_commit").fetchone() == ("off",)
    assert pg.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_a_role_that_may_not_delete_is_refused_and_no_exception_ends_the_worker(
    dsn: str, pg: psycopg.Connection
) -> None:
    name = f"reproq_test_reader_{pg.info.backend_pid}"
    pg.execute(f"CREATE ROLE {name} LOGIN")
    try:
        pg.execute(f"GRANT SELECT ON task_runs, reproq_logs TO {name}")
        database = Database(psycopg.conninfo.make_conninfo(dsn, user=name), "reader")
        answer = PruneRuns("default", rules(BY_DEFAULT)[0], START).run(database, NOW)
        database.close()
        assert "permission denied for table" in answer.refusal
    finally:
        pg.execute(f"DROP OWNED BY {name}")
        pg.execute(f"DROP ROLE {name}")


def test_a_table_that_points_to_a_run_is_a_refusal_and_no_exception_ends_the_worker(
    dsn: str, pg: psycopg.Connection
) -> None:
    pg.execute("CREATE TABLE invoice (run_id bigint REFERENCES task_runs)")
    pg.execute("INSERT INTO invoice VALUES (%s)", [ended(pg.cursor(), 31)])
    database = Database(dsn, "tests")
    answer = PruneRuns("default", rules(BY_DEFAULT)[0], START).run(database, NOW)
    database.close()
    assert (answer.deleted, answer.position) == (0, START)
    assert "violates foreign key constraint" in answer.refusal
    assert "\n" not in answer.refusal


def test_a_preview_counts_what_would_go_by_status_and_queue(cursor: Cursor) -> None:
    for days in (31, 32):
        ended(cursor, days)
    ended(cursor, 33, queue_name="mail")
    ended(cursor, 40, Status.FAILED)
    found = preview(cursor, "default", rules(BY_DEFAULT)[0], NOW)
    assert [(one.status, one.queue_name, one.count) for one in found] == [
        ("SUCCESSFUL", "default", 2),
        ("SUCCESSFUL", "mail", 1),
    ]
    assert (found[0].first_ended_at, found[0].last_ended_at) == (NOW - 32 * DAYS, NOW - 31 * DAYS)


def test_an_outlook_says_how_many_are_over_their_age_and_when_the_next_one_is(cursor: Cursor) -> None:
    rule = rules(BY_DEFAULT)[0]
    assert outlook(cursor, "default", rule, NOW).next_at is None
    ended(cursor, 31)
    ended(cursor, 29)
    ended(cursor, 29.5, Status.FAILED)
    seen = outlook(cursor, "default", rule, NOW)
    assert (seen.over, seen.is_more, seen.next_at) == (1, False, NOW + DAYS)


def test_a_queue_is_known_by_its_runs(cursor: Cursor) -> None:
    ended(cursor, 1, queue_name="mail")
    assert queue_has_run(cursor, "mail")
    assert not queue_has_run(cursor, "maill")
