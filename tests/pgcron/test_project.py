"""OPTIONS["PGCRON"]: pg_cron's jobs follow migrations and changes of schedules by themselves, and only when asked."""

import copy

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings
from psycopg import conninfo

OURS = "reproq_django.backend.ReproqBackend"


def tasks(**options):
    return override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": options}})


@pytest.fixture
def project(django_project, shop):
    """Django's `default` connection leads to the database of pg_cron."""
    from django.db import connections

    connection = connections["default"]
    connection.close()
    before = copy.deepcopy(connection.settings_dict)
    parts = conninfo.conninfo_to_dict(shop)
    connection.settings_dict |= {"NAME": "shop", "USER": parts["user"], "HOST": parts["host"], "PORT": parts["port"]}
    yield
    connections.close_all()
    connection.settings_dict.clear()
    connection.settings_dict.update(before)


@pytest.fixture
def job(project):
    from reproq_django.periodic_tasks import PeriodicTask

    return PeriodicTask(
        name="job", cron_expr="30 2 * * *", time_zone="UTC", task_path="tests.django.tasks.add", args=[1]
    )


def schedules(cron):
    rows = cron.execute("SELECT schedule FROM cron.job WHERE jobname LIKE 'reproq:%' ORDER BY jobid").fetchall()
    return {schedule for (schedule,) in rows}


def test_jobs_follow_every_change_once_it_is_committed(job, cron):
    with tasks(PGCRON="mixed"):
        with transaction.atomic():
            job.save()
            assert schedules(cron) == set()
        assert schedules(cron) == {"30 2 * * *", "* * * * *", "17 * * * *"}
        job.cron_expr = "45 3 * * *"
        job.save()
        assert "45 3 * * *" in schedules(cron)
        job.delete()
        assert schedules(cron) == {"* * * * *", "17 * * * *"}


def test_a_change_stands_though_its_jobs_are_refused_and_the_log_says_why(job, cron, caplog):
    with tasks(PGCRON="each"):
        job.save()
    assert cron.execute("SELECT count(*) FROM periodic_tasks").fetchone() == (1,)
    assert schedules(cron) == set()
    assert "job: catch_up latest has nobody to make up for missed ticks; install --layout mixed" in caplog.text


def test_migrate_installs_the_jobs(project, cron, capsys):
    with tasks(PGCRON="shared"):
        call_command("migrate", verbosity=1)
        assert "pg_cron's jobs: 2 added, 0 changed, 0 removed" in capsys.readouterr().out
    assert schedules(cron) == {"* * * * *", "17 * * * *"}


def test_migrate_says_where_there_is_no_pg_cron_and_succeeds(db, capsys):
    with tasks(PGCRON="shared"):
        call_command("migrate", verbosity=0)
    assert "pg_cron's jobs are left as they are: pg_cron is not" in capsys.readouterr().err


def test_nothing_is_done_unasked(job, cron):
    with tasks():
        call_command("migrate", verbosity=0)
        job.save()
    assert schedules(cron) == set()


def test_a_layout_that_is_none_is_refused_by_the_system_check(django_project):
    with tasks(PGCRON=True):
        (error,) = [one for one in run_checks() if "PGCRON" in one.msg]
    assert (error.id, error.msg) == ("reproq.E002", "TASKS['default']['OPTIONS']['PGCRON'] is True, no layout.")
    assert error.hint == "Write one of shared, mixed, each, or leave it out to leave pg_cron alone."
