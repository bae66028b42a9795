"""`get_result`: what a run looks like from outside, at every point of its life."""

import dataclasses
import json
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.tasks import TaskResult, TaskResultStatus, default_task_backend, task_backends
from django.tasks.exceptions import TaskResultDoesNotExist, TaskResultMismatch
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from reproq.errors import RunCancelled, RunTimedOut, UnknownTask
from reproq.lifecycle import Failure, Kind, Success
from tests.django import tasks
from tests.django.conftest import OURS

pytestmark = pytest.mark.usefixtures("db")

VALUE_ERROR = Failure(Kind.EXCEPTION, "builtins.ValueError", "no luck", "Traceback …\nValueError: no luck\n")


def test_it_equals_what_enqueue_returned_field_by_field():
    enqueued = tasks.echo.using(priority=7, queue_name="mail").enqueue(1.5, key=[None])
    with CaptureQueriesContext(connection) as queries:
        found = default_task_backend.get_result(enqueued.id)
    assert len(queries) == 1
    assert type(found) is TaskResult
    assert found == enqueued
    assert dataclasses.asdict(found) == dataclasses.asdict(enqueued)


def test_a_run_that_was_due_before_its_enqueue_has_its_time_to_start_from_then_on(pg):
    an_hour_ago = timezone.now() - timedelta(hours=1)
    enqueued = tasks.prompt.using(run_after=an_hour_ago).enqueue()
    assert default_task_backend.get_result(enqueued.id) == enqueued
    (left,) = pg.execute("SELECT extract(epoch FROM expires_at - enqueued_at)::float8 FROM task_runs").fetchone()
    assert left == 600


def test_aget_result_equals_it_too():
    async def both():
        enqueued = await tasks.add_async.aenqueue(1, 2)
        return (
            enqueued,
            await default_task_backend.aget_result(enqueued.id),
            await tasks.add_async.aget_result(enqueued.id),
        )

    enqueued, found, through_task = async_to_sync(both)()
    assert enqueued == found == through_task


NO_IDS = [
    "", "123", "0-0123456789abcdef", "-1-0123456789abcdef", "01-0123456789abcdef", "1-0123456789ABCDEF",
    "1-0123456789abcde", "1-0123456789abcdef0", " 1-0123456789abcdef", "1-0123456789abcdef\n", "1_0-0123456789abcdef",
    "9223372036854775808-0123456789abcdef", "99999999999999999999-0123456789abcdef", "١-0123456789abcdef",
    "1-0123456789abcde\0", "550e8400-e29b-41d4-a716-446655440000", 123, None, b"1-0123456789abcdef",
]  # fmt: skip


@pytest.mark.parametrize("result_id", NO_IDS, ids=repr)
def test_a_malformed_id_does_not_exist_and_sends_no_query(result_id):
    with CaptureQueriesContext(connection) as queries, pytest.raises(TaskResultDoesNotExist):
        default_task_backend.get_result(result_id)
    assert len(queries) == 0


def test_the_id_is_the_runs_id_and_sixteen_hex_digits(pg):
    result = tasks.add.enqueue(1)
    run_id, nonce = pg.execute("SELECT id, nonce FROM task_runs").fetchone()
    assert result.id == f"{run_id}-{nonce % 2**64:016x}"


@pytest.mark.parametrize("nonce", [0, -1, 2**63 - 1, -(2**63)])
def test_every_nonce_can_be_found_again(pg, nonce):
    tasks.add.enqueue(1)
    run_id = pg.execute("UPDATE task_runs SET nonce = %s RETURNING id", [nonce]).fetchone()[0]
    assert default_task_backend.get_result(f"{run_id}-{nonce % 2**64:016x}").args == [1]


def test_an_unknown_id_or_a_wrong_nonce_leaves_the_transaction_usable():
    with transaction.atomic():
        result = tasks.add.enqueue(1)
        wrong = result.id[:-1] + ("0" if result.id[-1] != "0" else "1")
        for missing in (wrong, "9223372036854775807-0123456789abcdef", "junk"):
            with pytest.raises(TaskResultDoesNotExist):
                default_task_backend.get_result(missing)
            with pytest.raises(TaskResultDoesNotExist):
                async_to_sync(default_task_backend.aget_result)(missing)
        assert default_task_backend.get_result(result.id) == result


def test_a_run_is_not_found_through_another_alias():
    with override_settings(TASKS={"default": {"BACKEND": OURS}, "other": {"BACKEND": OURS}}):
        result = tasks.add.enqueue(1)
        with pytest.raises(TaskResultDoesNotExist):
            task_backends["other"].get_result(result.id)


def test_enqueued_through_another_alias_than_the_tasks_own_it_refreshes_there():
    with override_settings(TASKS={"default": {"BACKEND": OURS}, "other": {"BACKEND": OURS}}):
        result = task_backends["other"].enqueue(tasks.add, [1], {})
        assert (result.backend, result.task.backend) == ("other", "other")
        assert task_backends["other"].get_result(result.id) == result
        result.refresh()


def test_another_tasks_result_is_a_mismatch():
    result = tasks.add.enqueue(1)
    with pytest.raises(TaskResultMismatch, match="Task does not match"):
        tasks.echo.get_result(result.id)
    with pytest.raises(TaskResultMismatch, match="Task does not match"):
        async_to_sync(tasks.echo.aget_result)(result.id)


def test_a_scheduled_run_is_ready(pg):
    from datetime import timedelta

    result = tasks.add.using(run_after=timedelta(hours=1)).enqueue(1)
    assert pg.execute("SELECT status FROM task_runs").fetchone() == ("SCHEDULED",)
    assert default_task_backend.get_result(result.id).status == TaskResultStatus.READY


def test_while_it_runs_the_claim_counts_as_its_start(worker):
    result = tasks.add.enqueue(1)
    claimed_at = None
    worker.claim()
    with worker.connection.cursor() as cursor:
        (claimed_at,) = cursor.execute("SELECT claimed_at FROM task_runs").fetchone()
    result.refresh()
    assert (result.status, result.attempts, result.worker_ids) == (TaskResultStatus.RUNNING, 1, ["w-1"])
    assert (result.started_at, result.last_attempted_at, result.finished_at) == (claimed_at, claimed_at, None)


def test_success_shows_value_times_and_attempts(worker):
    result = tasks.add.enqueue(1)
    worker.work(Success('{"z":[1,1e16,-0.0],"a":"\\u0000 \\ud800"}'))
    assert (result.status, result.attempts) == (TaskResultStatus.READY, 0)
    with CaptureQueriesContext(connection) as queries:
        result.refresh()
    assert len(queries) == 1
    assert (result.status, result.attempts, result.errors) == (TaskResultStatus.SUCCESSFUL, 1, [])
    assert result.is_finished
    assert json.dumps(result.return_value) == '{"z": [1, 1e+16, -0.0], "a": "\\u0000 \\ud800"}'
    assert result.enqueued_at <= result.started_at <= result.finished_at


def test_a_returned_none_is_a_value(worker):
    result = tasks.add.enqueue(1)
    worker.work(Success("null"))
    async_to_sync(result.arefresh)()
    assert result.return_value is None


def test_a_failed_attempt_that_is_retried_is_ready_and_keeps_its_error(worker):
    result = tasks.add.enqueue(1)
    worker.work(VALUE_ERROR)
    result.refresh()
    assert (result.status, result.attempts, len(result.errors)) == (TaskResultStatus.READY, 1, 1)
    assert result.errors[0].exception_class is ValueError
    assert result.errors[0].traceback == VALUE_ERROR.traceback
    assert not result.is_finished


def test_a_failure_shows_every_error_in_order(worker, pg):
    result = tasks.patient.enqueue()
    for _ in range(4):
        worker.work(VALUE_ERROR)
        pg.execute("UPDATE task_runs SET status = 'READY'")
    worker.work(Failure(Kind.TIMEOUT, "reproq.errors.RunTimedOut", "killed after 60 s"))
    result.refresh()
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 5)
    assert [error.exception_class for error in result.errors] == [ValueError] * 4 + [RunTimedOut]
    assert result.errors[-1].traceback == "killed after 60 s"
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value
    assert result.started_at < result.last_attempted_at


def test_a_cancelled_run_has_failed_with_an_error_that_says_so(worker):
    result = tasks.add.enqueue(1)
    worker.work(Failure(Kind.CANCELLED, "reproq.errors.RunCancelled", "cancelled by ada"))
    result.refresh()
    assert (result.status, [error.exception_class for error in result.errors]) == ("FAILED", [RunCancelled])


def test_a_run_cancelled_before_it_started_says_so_too(pg):
    result = tasks.add.enqueue(1)
    pg.execute("UPDATE task_runs SET status = 'CANCELLED', finished_at = now()")
    result.refresh()
    (error,) = result.errors
    assert (result.status, error.exception_class) == (TaskResultStatus.FAILED, RunCancelled)
    assert "cancelled" in error.traceback


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("tests.django.tasks.gone", "has no 'gone'"),
        ("tests.django.nowhere.task", "importing 'tests.django.nowhere' raised ModuleNotFoundError"),
        ("subprocess.check_output", "is a function, not a Task"),
        ("tests.django.tasks.plain_function", "is a function, not a Task"),
        ("tests.django.tasks.renamed_name", "lives at 'tests.django.tasks.add'"),
        ("nodots", "is no dotted path"),
    ],
)
def test_a_path_that_leads_to_no_task_is_told_with_run_and_remedy(pg, path, reason):
    row = pg.execute("INSERT INTO task_runs (task_path) VALUES (%s) RETURNING id, nonce", [path]).fetchone()
    result_id = f"{row[0]}-{row[1] % 2**64:016x}"
    with pytest.raises(UnknownTask) as refusal:
        default_task_backend.get_result(result_id)
    assert all(part in str(refusal.value) for part in (path, result_id, reason, "TASK_ALIASES"))
    assert isinstance(refusal.value, ImportError)


def test_renamed_tasks_are_found_through_task_aliases(pg):
    renames = {"shop.old": "shop.older", "shop.older": "tests.django.tasks.add"}
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": {"TASK_ALIASES": renames}}}):
        row = pg.execute("INSERT INTO task_runs (task_path) VALUES ('shop.old') RETURNING id, nonce").fetchone()
        assert tasks.add.get_result(f"{row[0]}-{row[1] % 2**64:016x}").task == tasks.add


def test_a_result_stays_readable_when_its_queue_left_the_settings():
    result = tasks.add.using(queue_name="mail").enqueue(1)
    with override_settings(TASKS={"default": {"BACKEND": OURS, "QUEUES": ["default"]}}):
        assert default_task_backend.get_result(result.id).task.queue_name == "mail"
