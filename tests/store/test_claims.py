"""Claims: their order, their bound, two claimers at once, what a claim writes, and how durable its commit is."""

import threading
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from psycopg import Cursor

from reproq.lifecycle import Status
from reproq.store import claims, queues
from reproq.store.runs import requeue
from tests.store.rows import HASH, LEASE_SECONDS, NOW, SUCCEED, TOKEN, claim, finalize, insert, read

BAD_PLANS = {
    "no settings": {},
    "sequential scans only": {"enable_indexscan": "off", "enable_bitmapscan": "off", "enable_indexonlyscan": "off"},
    "no sequential scans": {"enable_seqscan": "off"},
    "merge joins": {"enable_nestloop": "off", "enable_hashjoin": "off", "enable_material": "off"},
    "nested loops": {"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_memoize": "off"},
    "no sort": {"enable_sort": "off", "enable_incremental_sort": "off", "enable_bitmapscan": "off"},
    "jit": {"jit": "on", "jit_above_cost": "0", "jit_inline_above_cost": "0", "jit_optimize_above_cost": "0"},
    "parallel": {"debug_parallel_query": "on", "parallel_setup_cost": "0", "min_parallel_table_scan_size": "0"},
    "generic plans": {"plan_cache_mode": "force_generic_plan"},
    "custom plans": {"plan_cache_mode": "force_custom_plan"},
}


def set_all(cursor: Cursor, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        known = cursor.execute("SELECT 1 FROM pg_settings WHERE name = %s", [name]).fetchone()
        if known:  # debug_parallel_query bore another name before 16
            cursor.execute("SELECT set_config(%s, %s, true)", [name, value])


def ids(claimed: list[claims.Claimed]) -> list[int]:
    return [one.claim.run_id for one in claimed]


# Order and bound


def test_the_most_urgent_of_all_queues_come_first(cursor: Cursor) -> None:
    later, sooner = NOW, NOW - timedelta(minutes=1)
    low = insert(cursor, queue_name="a", priority=-1, due_at=sooner)
    second = insert(cursor, queue_name="b", priority=5, due_at=later)
    first = insert(cursor, queue_name="a", priority=5, due_at=sooner)
    third = insert(cursor, queue_name="a", priority=5, due_at=later)
    other = insert(cursor, queue_name="c", priority=100)
    assert ids(claim(cursor, queues=["a", "b"])) == [first, second, third, low]
    assert read(cursor, other).status == Status.READY


def test_a_limit_takes_the_most_urgent_and_leaves_the_rest(cursor: Cursor) -> None:
    made = [insert(cursor, queue_name=name, priority=priority) for priority in (0, 9, 5) for name in ("a", "b")]
    assert ids(claim(cursor, queues=["b", "a"], limit=3)) == [made[2], made[3], made[4]]
    assert [read(cursor, run_id).status for run_id in made] == [
        "READY",
        "READY",
        "RUNNING",
        "RUNNING",
        "RUNNING",
        "READY",
    ]


@pytest.mark.lesson("scheduled-rows-at-the-head-of-the-index")
def test_future_runs_of_top_priority_do_not_stand_in_the_way(cursor: Cursor) -> None:
    for _ in range(20):
        insert(cursor, Status.SCHEDULED, priority=100, due_at=NOW + timedelta(days=1))
    due = insert(cursor, priority=-100)
    assert ids(claim(cursor, limit=1)) == [due]


@pytest.mark.lesson("limit-in-a-subquery-claims-more")
@pytest.mark.parametrize("plan", BAD_PLANS)
def test_no_plan_claims_more_than_the_limit_nor_out_of_order(cursor: Cursor, plan: str) -> None:
    cursor.execute(
        "INSERT INTO task_runs (task_path, spec_hash, queue_name, priority, due_at)"
        " SELECT 't', %s, 'q' || i %% 3, i %% 7, %s FROM generate_series(1, 600) i",
        [HASH, NOW],
    )
    set_all(cursor, BAD_PLANS[plan])
    expected = cursor.execute("SELECT id FROM task_runs ORDER BY priority DESC, due_at, id LIMIT 21").fetchall()
    taken = [ids(claim(cursor, queues=["q0", "q1", "q2"], limit=7)) for _ in range(3)]
    assert [len(batch) for batch in taken] == [7, 7, 7]
    assert [run_id for batch in taken for run_id in batch] == [row[0] for row in expected]


def test_a_limit_of_none_and_no_queues_claim_nothing(cursor: Cursor) -> None:
    insert(cursor)
    assert claim(cursor, limit=0) == []
    assert claim(cursor, queues=[]) == []


def test_a_queue_named_twice_is_claimed_once(cursor: Cursor) -> None:
    run_id = insert(cursor)
    assert ids(claim(cursor, queues=["default", "default"])) == [run_id]
    assert read(cursor, run_id).attempts == 1


# Two at once


def test_claimers_at_once_never_share_a_run(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as pg:
        pg.execute("INSERT INTO task_runs (task_path, spec_hash) SELECT 't', %s FROM generate_series(1, 2000)", [HASH])
    taken: dict[int, list[int]] = {1: [], 2: []}
    begin = threading.Barrier(2)

    def claimer(token: int) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
            begin.wait(10)
            taken[token] += ids(claim(cursor, limit=37, token=token, now=None))
            begin.wait(10)  # neither may have taken all before the other has come to its first
            while batch := claim(cursor, limit=37, token=token, now=None):
                taken[token] += ids(batch)

    threads = [threading.Thread(target=claimer, args=[token]) for token in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken[1]
    assert taken[2]
    assert len({*taken[1], *taken[2]}) == len(taken[1]) + len(taken[2]) == 2000


def test_a_claim_skips_runs_that_another_transaction_holds(dsn: str) -> None:
    with psycopg.connect(dsn) as first, psycopg.connect(dsn, autocommit=True) as second:
        made = [insert(second.cursor()) for _ in range(4)]
        assert ids(claim(first.cursor(), limit=2)) == made[:2]
        assert ids(claim(second.cursor(), limit=2, token=2)) == made[2:]


def test_a_claim_over_many_queues_holds_what_it_takes_and_nothing_else(dsn: str) -> None:
    with psycopg.connect(dsn) as first, psycopg.connect(dsn, autocommit=True) as second:
        made = [insert(second.cursor(), queue_name=name) for _ in range(20) for name in ("a", "b", "c")]
        assert ids(claim(first.cursor(), queues=["a", "b", "c"], limit=4)) == made[:4]
        free = second.execute("SELECT id FROM task_runs ORDER BY id FOR UPDATE SKIP LOCKED").fetchall()
        assert [row[0] for row in free] == made[4:]


@pytest.mark.parametrize("held", [1, 5, 12, 50])
def test_however_much_others_hold_a_claim_takes_the_most_urgent_of_what_is_free(dsn: str, held: int) -> None:
    with psycopg.connect(dsn) as first, psycopg.connect(dsn, autocommit=True) as second:
        for number in range(60):
            insert(second.cursor(), queue_name="abc"[number * number % 3], priority=number * 7 % 5)
        order = [row[0] for row in second.execute("SELECT id FROM task_runs ORDER BY priority DESC, due_at, id")]
        first.execute("SELECT FROM task_runs WHERE id = ANY(%s) FOR UPDATE", [order[:held]])
        assert ids(claim(second.cursor(), queues=["a", "b", "c"], limit=6)) == order[held : held + 6]


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_a_queue_that_is_far_more_urgent_than_the_others_is_emptied_first(cursor: Cursor, limit: int) -> None:
    for number in range(120):
        insert(cursor, queue_name="rest" + str(number % 4))
    urgent = [insert(cursor, queue_name="urgent", priority=9) for _ in range(100)]
    assert ids(claim(cursor, queues=["rest0", "rest1", "urgent", "rest2", "rest3"], limit=limit)) == urgent[:limit]


def test_eight_claimers_over_three_queues_take_every_run_once(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as pg:
        pg.execute(
            "INSERT INTO task_runs (task_path, spec_hash, queue_name, priority)"
            " SELECT 't', %s, 'q' || i %% 3, i %% 5 FROM generate_series(1, 3000) i",
            [HASH],
        )
    taken: list[list[int]] = [[] for _ in range(8)]
    begin = threading.Barrier(8)

    def claimer(number: int) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
            begin.wait(10)
            while sum(map(len, taken)) < 3000:
                taken[number] += ids(claim(cursor, queues=["q0", "q1", "q2"], limit=25, token=number, now=None))

    threads = [threading.Thread(target=claimer, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    claimed = [run_id for mine in taken for run_id in mine]
    assert len(claimed) == len(set(claimed)) == 3000


# What a claim writes


def test_a_claim_counts_the_attempt_and_signs_it(cursor: Cursor) -> None:
    run_id = insert(cursor, attempts=1, worker_ids=["w-0"], failures=1, waiting_reason="retry")
    (claimed,) = claim(cursor)
    run = read(cursor, run_id)
    assert (run.status, run.attempts, run.worker_ids, run.failures) == (Status.RUNNING, 2, ["w-0", "w-1"], 1)
    assert (run.claim_token, run.worker_id, run.claimed_at) == (TOKEN, "w-1", NOW)
    assert run.lease_expires_at == NOW + timedelta(seconds=30)
    assert run.waiting_reason is None
    assert (run.started_at, run.last_attempted_at) == (None, None)
    assert (claimed.claim.attempt, claimed.claim.failures, claimed.claim.token) == (2, 1, TOKEN)


def test_a_claim_hands_over_the_texts_as_they_are_stored(cursor: Cursor) -> None:
    args, kwargs = '[1e16,  -0.0, "\\u0000", {"b": 1, "a": 2, "b": 3}]', '{"z":1.50,"a":null}'
    insert(cursor, args=args, kwargs=kwargs, nonce=-1, backoff_seconds=[1.5, 2.0], timeout_seconds=7.5)
    (claimed,) = claim(cursor)
    assert (claimed.payload.args_json, claimed.payload.kwargs_json) == (args, kwargs)
    assert claimed.payload.result_id == f"{claimed.claim.run_id}-ffffffffffffffff"
    assert claimed.claim.backoff_seconds == (1.5, 2.0)
    assert claimed.payload.timeout_seconds == 7.5
    assert claimed.payload.seed == 0x5F5F5F5F5F5F5F5F
    assert claimed.payload.enqueued_at == NOW.isoformat()


def test_a_claim_tells_how_long_the_run_waited(cursor: Cursor) -> None:
    insert(cursor, due_at=NOW - timedelta(seconds=12))
    assert claim(cursor)[0].waited_seconds == 12


@pytest.mark.parametrize("token", [-(2**63), 2**63 - 1, 0])
def test_any_64_bits_are_a_token(cursor: Cursor, token: int) -> None:
    run_id = insert(cursor)
    assert claim(cursor, token=token)[0].claim.token == token
    assert finalize(cursor, run_id, SUCCEED, token=token)


# Durability


@pytest.mark.parametrize(
    ("act", "setting"),
    [
        (lambda cursor, run_id: claim(cursor), "off"),
        (lambda cursor, run_id: finalize(cursor, run_id, SUCCEED), "on"),
        (lambda cursor, run_id: claims.renew(cursor, [(run_id, TOKEN)], 30, NOW), "on"),
        (lambda cursor, run_id: claims.promote(cursor, now=NOW), "off"),
    ],
    ids=["claim", "finalize", "renew", "promote"],
)
def test_only_the_commits_of_a_claim_and_of_a_promotion_are_asynchronous(
    pg: psycopg.Connection, act: Callable[[Cursor, int], object], setting: str
) -> None:
    with pg.transaction(), pg.cursor() as cursor:
        insert(cursor)
        act(cursor, insert(cursor, Status.RUNNING))
        assert cursor.execute("SHOW synchronous_commit").fetchone() == (setting,)
    assert pg.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_a_claim_that_finds_nothing_leaves_the_connection_as_it_was(pg: psycopg.Connection) -> None:
    assert claim(pg.cursor()) == []
    assert pg.execute("SHOW synchronous_commit").fetchone() == ("on",)


# Questions about what waits


def test_the_queues_with_ready_runs_are_found_by_name(cursor: Cursor) -> None:
    for name in ("b", "a", "b", "Ä", ""):
        insert(cursor, queue_name=name)
    insert(cursor, Status.SCHEDULED, queue_name="scheduled")
    insert(cursor, Status.SUCCESSFUL, queue_name="finished")
    assert sorted(queues.ready_queues(cursor)) == ["", "a", "b", "Ä"]


def test_the_next_due_run_is_told_in_seconds_and_overdue_ones_as_negative(cursor: Cursor) -> None:
    assert queues.next_due_seconds(cursor, NOW) is None
    insert(cursor, Status.SCHEDULED, due_at=NOW + timedelta(seconds=90))
    assert queues.next_due_seconds(cursor, NOW) == 90
    insert(cursor, Status.SCHEDULED, due_at=NOW - timedelta(seconds=5))
    assert queues.next_due_seconds(cursor, NOW) == -5


@pytest.mark.parametrize(("asked", "left"), [(["mail"], True), (["other"], False), (None, True), ([], False)])
def test_work_is_left_where_a_run_is_ready_or_due_within_the_horizon(
    cursor: Cursor, asked: list[str] | None, left: bool
) -> None:
    insert(cursor, Status.SUCCESSFUL, queue_name="mail")
    insert(cursor, Status.SCHEDULED, queue_name="mail", due_at=NOW + timedelta(seconds=60))
    assert queues.work_left(cursor, asked, 60, now=NOW) is left
    assert queues.work_left(cursor, asked, 59, now=NOW) is False
    insert(cursor, queue_name="mail")
    assert queues.work_left(cursor, asked, 0, now=NOW) is left


def test_a_claim_tells_which_runs_must_not_overlap_and_a_copy_of_one_must_not_either(cursor: Cursor) -> None:
    alone, other = insert(cursor, on_lost_contact="stop"), insert(cursor)
    copy, _ = requeue(cursor, alone, now=NOW)
    claimed = claims.claim(
        cursor, queues=["default"], limit=9, token=TOKEN, worker_id="w-1", lease_seconds=LEASE_SECONDS, now=NOW
    )
    assert {one.claim.run_id: one.must_not_overlap for one in claimed} == {alone: True, other: False, copy: True}
