"""`enqueue`: one INSERT in the caller's own transaction, and what it refuses before it sends anything."""

import datetime as dt
import enum
from types import MappingProxyType

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as project
from django.core.exceptions import ImproperlyConfigured
from django.db import InternalError, OperationalError, connection, connections, transaction
from django.tasks import TaskResult, TaskResultStatus, default_task_backend, task, task_backends
from django.tasks.exceptions import InvalidTask
from django.tasks.signals import task_enqueued
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from reproq.errors import InvalidArguments, NotMigrated
from reproq_django.backend import ReproqBackend
from tests.django import tasks
from tests.django.conftest import OURS, alias_of, backend_on, captured

pytestmark = pytest.mark.usefixtures("db")


@pytest.mark.parametrize("name", ["echo", "add_async"])
def test_in_autocommit_it_takes_one_statement_and_returns_a_ready_result(name):
    task = getattr(tasks, name)
    with CaptureQueriesContext(connection) as queries:
        result = task.enqueue(1, right=3)
    assert [query["sql"].split()[:2] for query in queries] == [["CALL", "reproq_insert_run("]]
    assert type(result) is TaskResult
    assert (result.status, result.task, result.backend) == (TaskResultStatus.READY, task, "default")
    assert (result.args, result.kwargs, result.attempts) == ([1], {"right": 3}, 0)
    assert not result.is_finished
    assert (result.started_at, result.last_attempted_at, result.finished_at) == (None, None, None)
    with pytest.raises(ValueError, match="Task has not finished yet"):
        _ = result.return_value


def test_in_a_transaction_each_takes_one_statement_and_one_more_looks_for_idle_workers():
    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        tasks.add.enqueue(1)
        tasks.add.enqueue(2)
    sent = [query["sql"].split()[:2] for query in queries if query["sql"] not in ("BEGIN", "COMMIT")]
    assert sent == [["CALL", "reproq_insert_run("]] * 2 + [["SELECT", "reproq_wake(name,"]]


def test_a_transaction_that_was_begun_behind_djangos_back_decides_too(count_runs):
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        tasks.add.enqueue(1)
        cursor.execute("ROLLBACK")
    assert count_runs() == 0


def test_the_statement_has_one_text_whatever_the_arguments_are(pg):
    tasks.echo.enqueue("a text that would tell two statements apart")
    pid = connection.connection.info.backend_pid
    (query,) = pg.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
    assert query.startswith("CALL reproq_insert_run(")
    assert "$1" in query
    assert "tell two statements apart" not in query


@pytest.mark.parametrize(
    ("options", "prepared"), [({}, 0), ({"server_side_binding": True}, 0), ({"prepare_threshold": 1}, 1)]
)
def test_it_is_prepared_only_where_the_project_has_asked_for_that(options, prepared):
    settings = dict(connection.settings_dict)
    with (
        alias_of("own", settings | {"OPTIONS": settings["OPTIONS"] | options}),
        override_settings(TASKS={"default": backend_on("own")}),
    ):
        for number in range(4):
            tasks.add.enqueue(number)
        with connections["own"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'CALL%'")
            assert cursor.fetchone() == (prepared,)


def test_the_signal_is_djangos_and_its_sender_is_the_backends_class():
    with captured(task_enqueued) as received:
        result = tasks.add.enqueue(1)
    assert received == [(ReproqBackend, result)]


def test_enqueued_at_is_what_the_database_says(pg):
    result = tasks.add.enqueue(1)
    assert [result.enqueued_at] == [row[0] for row in pg.execute("SELECT enqueued_at FROM task_runs")]


def test_what_is_rolled_back_was_never_enqueued(count_runs):
    with transaction.atomic():
        tasks.add.enqueue(1)
        transaction.set_rollback(True)
    assert count_runs() == 0


def test_others_see_the_run_when_the_transaction_commits_and_not_before(count_runs):
    with transaction.atomic():
        tasks.add.enqueue(1)
        assert count_runs() == 0
    assert count_runs() == 1


def test_a_savepoint_takes_its_run_with_it(count_runs):
    with transaction.atomic():
        tasks.add.enqueue(1)
        with transaction.atomic():
            tasks.add.enqueue(2)
            transaction.set_rollback(True)
    assert count_runs() == 1


def test_under_atomic_requests_a_failing_view_enqueues_nothing(count_runs):
    from django.core.handlers.base import BaseHandler

    def view(request):
        tasks.add.enqueue(1)
        raise RuntimeError

    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        with override_settings(ROOT_URLCONF="tests.django.conftest"), pytest.raises(RuntimeError):
            BaseHandler().make_view_atomic(view)(None)
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert count_runs() == 0


def test_two_equal_calls_are_two_runs(count_runs):
    assert tasks.add.enqueue(1).id != tasks.add.enqueue(1).id
    assert count_runs() == 2


def test_aenqueue_does_the_same(count_runs):
    result = async_to_sync(tasks.add_async.aenqueue)(1, right=2)
    assert (result.args, result.kwargs, count_runs()) == ([1], {"right": 2}, 1)


def test_it_logs_what_django_logs(caplog):
    caplog.set_level("DEBUG", logger="django.tasks")
    result = tasks.add.enqueue(1)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "django.tasks"]
    assert result.id in line
    assert "enqueued" in line


def test_where_nobody_listens_and_nothing_is_logged_no_signal_is_sent(monkeypatch):
    monkeypatch.setattr(task_enqueued, "send", lambda **named: pytest.fail("a signal was sent"))
    tasks.add.enqueue(1)
    tasks.add.enqueue_many([(1,), (2,)])


class Colour(enum.IntEnum):
    RED = 3


def test_arguments_are_normalised_as_django_does():
    result = tasks.echo.enqueue((1, 2), b"bytes", Colour.RED, key=MappingProxyType({"inner": (None, True)}))
    assert result.args == [[1, 2], "bytes", 3]
    assert result.kwargs == {"key": {"inner": [None, True]}}
    assert type(result.args[2]) is int


def test_the_result_of_bytes_says_what_is_stored():
    results = [tasks.echo.enqueue(b"x", key=b"y"), *tasks.echo.enqueue_many([(b"x",)])]
    assert [(result.args, result.kwargs) for result in results] == [(["x"], {"key": "y"}), (["x"], {})]


def test_the_result_shares_nothing_with_what_was_passed():
    passed = [1]
    result = tasks.echo.enqueue(passed)
    passed.append(2)
    assert result.args == [[1]]


CYCLE: list = []
CYCLE.append(CYCLE)
DEEP: list = []
for _ in range(2000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("args", "path"),
    [
        ([dt.datetime(2026, 1, 1)], "args[0]"),
        ([{"items": [1, 2, {3}]}], "args[0].items[2]"),
        ([[1, b"\xff"]], "args[0][1]"),
        ([1, float("nan")], "args[1]"),
        ([{"a b": float("-inf")}], 'args[0]["a b"]'),
        (["zero \0"], "args[0]"),
        (["\ud800"], "args[0]"),
        ([CYCLE], "args[0][0]"),
        ([DEEP], "args[0]"),
        ([10**5000], "args[0]"),
        ([{1: 2}], "args[0]"),
    ],
    ids=["datetime", "set", "bytes", "nan", "infinity", "nul", "surrogate", "cycle", "depth", "integer", "key"],
)
def test_arguments_that_cannot_be_stored_are_refused_by_their_path(args, path, count_runs):
    with pytest.raises(InvalidArguments) as refusal:
        tasks.echo.enqueue(*args)
    assert refusal.value.path.startswith(path)
    assert path.split("[", 1)[0] in str(refusal.value)
    assert count_runs() == 0


def test_a_keyword_argument_is_named_too():
    with pytest.raises(InvalidArguments) as refusal:
        tasks.echo.enqueue(order={"at": dt.date(2026, 1, 1)})
    assert refusal.value.path == "kwargs.order.at"


def test_an_unsupported_type_is_a_type_error_as_under_djangos_backends():
    with pytest.raises(TypeError, match="Unsupported type"):
        tasks.echo.enqueue(object())
    with pytest.raises(TypeError, match="Unsupported type"):
        async_to_sync(tasks.echo.aenqueue)(object())


def test_a_refusal_leaves_the_transaction_usable(count_runs):
    with transaction.atomic():
        with pytest.raises(InvalidArguments):
            tasks.echo.enqueue({1, 2})
        tasks.echo.enqueue([1, 2])
    assert count_runs() == 1


def test_arguments_over_the_bound_are_refused():
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": {"MAX_PAYLOAD_BYTES": 100}}}):
        tasks.echo.enqueue("x" * 50)
        with pytest.raises(InvalidArguments, match="max_payload_bytes=100"):
            tasks.echo.enqueue("x" * 100)


def test_queues_are_validated_by_django_at_enqueue():
    with override_settings(TASKS={"default": {"BACKEND": OURS, "QUEUES": ["mail"]}}):
        mail = tasks.add.using(queue_name="mail")
        with pytest.raises(InvalidTask, match="for the queue 'slow'"):
            tasks.add.using(queue_name="slow")
    with override_settings(TASKS={"default": {"BACKEND": OURS, "QUEUES": ["other"]}}):
        with pytest.raises(InvalidTask, match="for the queue 'mail'"):
            mail.enqueue(1)
        with pytest.raises(InvalidTask, match="for the queue 'mail'"):
            async_to_sync(mail.aenqueue)(1)


@pytest.fixture
def task_of_a_shell():
    shell = {"__name__": "__main__", "task": task}
    exec("@task\ndef add(left, right=0): return left + right", shell)
    return shell["add"]


def test_a_task_of_a_shell_is_refused_since_no_worker_finds_it(task_of_a_shell, count_runs):
    for enqueue in (lambda: task_of_a_shell.enqueue(1), lambda: task_of_a_shell.enqueue_many([(1,)])):
        with pytest.raises(InvalidTask, match=r"__main__\.add is defined in .*a shell.* such as tasks\.py of an app"):
            enqueue()
    assert count_runs() == 0


@pytest.mark.parametrize("module", [None, "django.core.management.commands.shell"])
def test_a_task_of_djangos_shell_is_refused_too(module, count_runs):
    shell = {"__name__": module, "task": task}
    exec("@task\ndef add(left, right=0): return left + right", shell)
    with pytest.raises(InvalidTask, match="where no worker can find it"):
        shell["add"].enqueue(1)
    assert count_runs() == 0


def test_a_task_of_a_shell_may_be_an_old_name_of_one_that_workers_have(task_of_a_shell):
    options = {"TASK_ALIASES": {"__main__.add": "tests.django.tasks.add"}}
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": options}}):
        result = task_of_a_shell.enqueue(1)
        assert task_backends["default"].get_result(result.id).task.module_path == "tests.django.tasks.add"


def test_the_four_capabilities_are_true():
    backend = task_backends["default"]
    assert isinstance(backend, ReproqBackend)
    assert default_task_backend == backend
    assert (backend.supports_defer, backend.supports_async_task) == (True, True)
    assert (backend.supports_get_result, backend.supports_priority) == (True, True)
    assert (backend.alias, backend.options) == ("default", project.TASKS["default"]["OPTIONS"])


def test_two_aliases_write_to_their_own_databases(second, count_runs):
    both = {"default": {"BACKEND": OURS}, "far": {"BACKEND": OURS, "OPTIONS": {"DATABASE": second}}}
    with override_settings(TASKS=both):
        near, far = tasks.add.enqueue(1), tasks.add.using(backend="far").enqueue(2)
        assert count_runs() == 1
        assert task_backends["far"].get_result(far.id) == far
        assert tasks.add.get_result(near.id) == near
        assert far.task.backend == "far"


def test_a_routers_replica_is_never_used(second, count_runs):
    class Replica:
        def db_for_read(self, model, **hints):
            return second

        db_for_write = db_for_read

    with override_settings(DATABASE_ROUTERS=[Replica()]):
        result = tasks.add.enqueue(1)
        assert tasks.add.get_result(result.id) == result
    assert count_runs() == 1


def test_a_database_that_is_not_migrated_says_which_command_to_run(pg):
    pg.execute("DROP TABLE task_runs CASCADE")
    with pytest.raises(NotMigrated, match=r"manage\.py migrate reproq_django --database default"):
        tasks.add.enqueue(1)


def test_an_unusable_configuration_breaks_no_import_but_refuses_to_enqueue():
    bad = {"BACKEND": OURS, "QUEUES": 7, "OPTIONS": {"MAX_ATEMPTS": 2, "TIMEOUT": "soon"}}
    with override_settings(TASKS={"default": bad}):
        assert tasks.add.using(priority=1).priority == 1
        with pytest.raises(ImproperlyConfigured) as refusal:
            tasks.add.enqueue(1)
    assert all(code in str(refusal.value) for code in ("reproq.E001", "reproq.E002", "reproq.E008"))


def test_the_backend_imports_no_model():
    import subprocess
    import sys

    program = "import reproq_django.backend, sys; sys.exit('reproq_django.models' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_arguments_are_stored_as_they_were_sent(pg):
    result = tasks.echo.enqueue({"z": 1, "a": 1e16, "zero": -0.0, "big": 10**400, "text": "é\u2028"})
    (text,) = pg.execute("SELECT args::text FROM task_runs").fetchone()
    assert text.index('"z"') < text.index('"a"') < text.index('"zero"')
    again = tasks.echo.get_result(result.id)
    assert str(again.args) == str(result.args)
    assert list(again.args[0]) == ["z", "a", "zero", "big", "text"]


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "reason"),
    [
        (
            "add",
            [],
            {},
            "tests.django.tasks.add(left, right=0) does not take these arguments: missing a required argument",
        ),
        ("add", [1, 2, 3], {}, "too many positional arguments"),
        ("add", [], {"lefft": 1}, "argument: 'left'; got an unexpected keyword argument 'lefft'"),
        ("add_async", [1], {"rihgt": 2}, "tests.django.tasks.add_async(left, right)"),
        ("fail", [1], {"message": 2}, "multiple values for argument 'message'"),
        ("look_around", [1], {"context": 2}, "multiple values for argument 'context'"),
    ],
)
def test_a_call_that_the_function_does_not_take_is_refused_with_its_signature(name, args, kwargs, reason):
    with CaptureQueriesContext(connection) as queries, pytest.raises(TypeError) as refusal:
        getattr(tasks, name).enqueue(*args, **kwargs)
    assert isinstance(refusal.value, InvalidArguments)
    assert reason in str(refusal.value)
    assert len(queries) == 0


def test_of_a_decorated_function_the_wrapper_decides_what_is_taken():
    assert tasks.greet_by_the_clock.enqueue("Ada").args == ["Ada"]


def test_a_context_is_no_argument_of_the_caller():
    assert tasks.look_around.enqueue(1, 2).args == [1, 2]


@pytest.mark.direct
def test_a_lost_primary_is_djangos_operational_error_and_the_health_check_of_the_next_request_mends_it(pg, count_runs):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pg.execute("SELECT pg_terminate_backend(%s, 5000)", cursor.fetchone())
    with pytest.raises(OperationalError):
        tasks.add.enqueue(1, 2)
    connection.close_if_unusable_or_obsolete()  # as Django does at the end of each request
    tasks.add.enqueue(1, 2)
    assert count_runs() == 1


@pytest.mark.direct
def test_a_primary_that_only_reads_is_djangos_internal_error_and_its_connection_looks_healthy(count_runs):
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    with pytest.raises(InternalError) as refused:
        tasks.add.enqueue(1, 2)
    assert refused.value.__cause__.sqlstate == "25006"
    assert connection.is_usable()
    connection.close()
    tasks.add.enqueue(1, 2)
    assert count_runs() == 1
