"""Two databases behind one project: each backend reads and writes its own, and nothing of ours is in the other."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connections, router, transaction
from django.tasks.exceptions import TaskResultDoesNotExist
from django.test import override_settings

from reproq.errors import NotMigrated
from reproq.store import claims
from tests.django import tasks
from tests.django.conftest import ROUTERS, backend_on
from tests.django.test_schema import OUR_TABLES, empty, tables  # noqa: F401 - a fixture


def runs_in(alias):
    """The task paths of all runs of one database."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT task_path FROM task_runs ORDER BY id")
        return [path for (path,) in cursor.fetchall()]


def test_runs_and_results_are_in_the_database_that_the_backend_names(apart):
    result = tasks.add.enqueue(1)
    assert tables("default") == set()
    assert runs_in(apart) == [tasks.add.module_path]
    assert tasks.add.get_result(result.id) == result


def test_the_orm_follows_the_router(apart):
    from reproq_django.models import TaskRun

    tasks.add.enqueue(1)
    run = TaskRun.objects.get()
    assert run._state.db == apart
    run.delete()
    assert runs_in(apart) == []


def test_an_instance_stays_in_the_database_it_came_from(both):
    from reproq_django.models import TaskRun

    tasks.add.enqueue(1)
    tasks.add.using(backend="reports").enqueue(2)
    TaskRun.objects.using(both).get().delete()
    assert (len(runs_in("default")), runs_in(both)) == (1, [])


def test_a_dump_of_either_database_works(apart):
    tasks.add.enqueue(1)
    for alias, has_run in (("default", False), (apart, True)):
        dumped = StringIO()
        call_command("dumpdata", "auth", "reproq_django", database=alias, stdout=dumped)
        assert (tasks.add.module_path in dumped.getvalue()) is has_run


@pytest.mark.parametrize("first", ["default", "empty"])
def test_migrations_make_our_tables_in_the_named_database_only_in_either_order(db, empty, first):  # noqa: F811
    call_command("migrate", "reproq_django", "zero", verbosity=0)
    with override_settings(TASKS={"default": backend_on(empty)}, DATABASE_ROUTERS=ROUTERS):
        for alias in (first, *({"default", empty} - {first})):
            call_command("migrate", "reproq_django", database=alias, verbosity=0)
        assert (tables("default"), tables(empty)) == (set(), OUR_TABLES)


def test_a_database_that_was_migrated_too_early_is_named_with_commands_that_mend_it(db, empty):  # noqa: F811
    call_command("migrate", database=empty, verbosity=0)
    with override_settings(TASKS={"default": backend_on(empty)}, DATABASE_ROUTERS=ROUTERS):
        call_command("migrate", database=empty, verbosity=0, skip_checks=True)
        with pytest.raises(NotMigrated, match=f"migrate reproq_django --database {empty}"):
            tasks.add.enqueue(1)
        said = StringIO()
        call_command("check", databases=[empty], stderr=said)
        assert "reproq.W012" in said.getvalue()
        hint = said.getvalue().partition("HINT: Run: ")[2].splitlines()[0]
        for command in hint.split(", then: "):
            call_command(*command.split()[2:], verbosity=0)
        tasks.add.enqueue(1)
        said = StringIO()
        call_command("check", databases=["default", empty], stderr=said)
        assert "reproq." not in said.getvalue()


def test_the_router_speaks_of_our_models_only(both):
    from django.contrib.auth.models import User

    from reproq_django.models import TaskRun
    from reproq_django.routers import ReproqRouter

    assert router.db_for_read(TaskRun) == "default"
    assert ReproqRouter().db_for_read(User) is None
    assert ReproqRouter().allow_migrate("elsewhere", "auth") is None
    allowed = {alias: router.allow_migrate(alias, "reproq_django") for alias in ("default", both, "elsewhere")}
    assert allowed == {"default": True, both: True, "elsewhere": False}


def test_a_result_of_one_backend_is_unknown_to_another(both):
    here, there = tasks.add.enqueue(1), tasks.add.using(backend="reports").enqueue(1)
    for task, result_id in ((tasks.add, there.id), (tasks.add.using(backend="reports"), here.id)):
        with pytest.raises(TaskResultDoesNotExist):
            task.get_result(result_id)
    assert tasks.add.using(backend="reports").get_result(there.id) == there


def test_enqueueing_is_no_part_of_another_databases_transaction(both):
    with transaction.atomic():
        tasks.add.enqueue(1)
        tasks.add.using(backend="reports").enqueue(2)
        transaction.set_rollback(True)
    assert (runs_in("default"), len(runs_in(both))) == ([], 1)


def test_a_worker_takes_the_runs_of_every_backend_of_its_database_and_results_stay_apart(db, pg):
    with override_settings(TASKS={"default": backend_on("default"), "bulk": backend_on("default")}):
        one, other = tasks.add.enqueue(1), tasks.add.using(backend="bulk").enqueue(2)
        with pg.cursor() as cursor:
            claimed = claims.claim(cursor, queues=["default"], limit=9, token=1, worker_id="w", lease_seconds=30)
        assert sorted(item.payload.backend for item in claimed) == ["bulk", "default"]
        assert tasks.add.using(backend="bulk").get_result(other.id).id == other.id
        with pytest.raises(TaskResultDoesNotExist):
            tasks.add.using(backend="bulk").get_result(one.id)
