"""Producers wake idle workers at their commit: once a transaction and queue, never after a rollback."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.tasks import task_backends

from tests.django import tasks

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def waiting(pg):
    """A worker's row that waits for all queues."""
    pg.execute("INSERT INTO reproq_workers (worker_id, idle_queues) VALUES ('w-1', '{*}')")


@pytest.fixture
def heard(dsn, waiting):
    """What producers have said since the last call. Notifications come in the order of their commits."""
    with psycopg.connect(dsn, autocommit=True) as listening:
        listening.execute("LISTEN reproq_wake")

        def said():
            listening.execute("NOTIFY reproq_wake, 'the end'")
            names = []
            for notify in listening.notifies(timeout=10):
                if notify.payload == "the end":
                    return names
                names.append(notify.payload)
            raise AssertionError("our own notification did not arrive")

        yield said


def test_in_autocommit_it_is_said_at_once(heard):
    tasks.add.enqueue(1)
    assert heard() == ["default"]


@pytest.mark.lesson("idle-asked-before-the-commit")
def test_a_worker_that_falls_idle_while_the_transaction_is_open_is_woken(pg, heard):
    pg.execute("UPDATE reproq_workers SET idle_queues = '{}'")
    with transaction.atomic():
        tasks.add.enqueue(1)
        pg.execute("UPDATE reproq_workers SET idle_queues = '{default}'")
        assert heard() == []
    assert heard() == ["default"]


@pytest.fixture
def held_commits(pg):
    """Commits of new runs wait until the lock 7 is released; what comes out of this waits for the first of them."""
    pg.execute(
        """
        CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER held AFTER INSERT ON task_runs DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION wait_for_the_test();
        SELECT pg_advisory_lock(7)
        """
    )

    def until_one_waits():
        deadline = time.monotonic() + 20
        waits = (
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        while not pg.execute(waits).fetchall():
            assert time.monotonic() < deadline, "no commit came"

    return until_one_waits


@pytest.mark.lesson("idle-asked-before-the-commit")
def test_in_autocommit_a_worker_that_falls_idle_during_the_commit_is_woken(pg, heard, held_commits):
    pg.execute("UPDATE reproq_workers SET idle_queues = '{}'")

    def produce():
        try:
            return tasks.add.enqueue(1)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as producer:
        enqueued = producer.submit(produce)
        held_commits()
        pg.execute("UPDATE reproq_workers SET idle_queues = '{default}'")
        pg.execute("SELECT pg_advisory_unlock(7)")
        assert enqueued.result(timeout=20).id
    assert heard() == ["default"]


@pytest.mark.lesson("notify-in-every-transaction")
def test_where_nobody_waits_nothing_is_said(pg, heard):
    pg.execute("UPDATE reproq_workers SET idle_queues = '{other}'")
    tasks.add.enqueue(1)
    tasks.add.enqueue_many([(1,), (2,)])
    assert heard() == []


def test_it_is_said_once_for_each_queue_of_a_transaction(heard, django_questions):
    mail = tasks.add.using(queue_name="mail")
    with transaction.atomic():
        for number in range(5):
            tasks.add.enqueue(number)
            with transaction.atomic():
                mail.enqueue(number)
    assert sorted(heard()) == ["default", "mail"]
    assert len(django_questions()) == 2


@pytest.fixture
def django_questions():
    """How often Django's connection asked who waits."""
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        yield lambda: [query["sql"] for query in queries if "reproq_wake" in query["sql"]]


def test_the_next_transaction_says_it_again(heard):
    for _ in range(2):
        with transaction.atomic():
            tasks.add.enqueue(1)
    assert heard() == ["default", "default"]


def test_a_rollback_says_nothing(heard):
    with transaction.atomic():
        tasks.add.enqueue(1)
        tasks.add.enqueue_many([(1,)])
        transaction.set_rollback(True)
    assert heard() == []


def test_a_savepoint_that_is_rolled_back_says_nothing_and_silences_nobody(heard):
    mail = tasks.add.using(queue_name="mail")
    with transaction.atomic():
        with transaction.atomic():
            mail.enqueue(1)
            tasks.add.enqueue(1)
            transaction.set_rollback(True)
        tasks.add.enqueue(2)
    assert heard() == ["default"]


def test_many_runs_are_one_question(heard, django_questions):
    calls = [(tasks.add.using(queue_name=name), (1,), {}) for name in ("a", "b", "a")]
    task_backends["default"].enqueue_many(calls)
    assert heard() == ["a", "b"]
    assert len(django_questions()) == 1


def test_async_code_says_it_too(heard):
    async_to_sync(tasks.add.aenqueue)(1)
    async_to_sync(tasks.add.aenqueue_many)([(1,)])
    assert heard() == ["default", "default"]


def test_a_scheduled_run_is_told_unless_a_poll_comes_first_in_any_case(heard):
    tasks.add.using(run_after=timedelta(minutes=1)).enqueue(1)
    assert heard() == ["default"]
    tasks.add.using(run_after=timedelta(hours=2)).enqueue(1)
    tasks.add.using(run_after=timedelta(hours=2)).enqueue_many([(1,)])
    assert heard() == []


def test_a_wake_up_that_fails_is_logged_and_fails_no_enqueue(pg, waiting, caplog):
    pg.execute("DROP FUNCTION reproq_wake")
    tasks.add.enqueue(1)
    with transaction.atomic():
        tasks.add.enqueue(1)
    assert pg.execute("SELECT count(*) FROM task_runs").fetchone() == (2,)
    lines = [record.getMessage() for record in caplog.records if "on_commit" in record.getMessage()]
    assert [line.split()[:3] for line in lines] == [["Error", "calling", "reproq_django.wake.Wake"]] * 2


def test_a_transaction_that_django_does_not_manage_is_left_to_polling(heard, count_runs):
    transaction.set_autocommit(False)
    try:
        tasks.add.enqueue(1)
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert (heard(), count_runs()) == ([], 1)
