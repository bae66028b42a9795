"""`reproq pgcron` against the real extension: what it makes, leaves alone, and takes away."""

import json
import re

import pytest

from reproq.cli import run
from tests.store.periodic_rows import add

OURS = (
    "SELECT split_part(jobname::text, ':', 3), schedule, command FROM cron.job WHERE jobname LIKE 'reproq:%' ORDER BY 1"
)
LAST = 1 << 60
"""The number of a run that is the last one, whatever pg_cron runs meanwhile: a minute may begin at any time."""


@pytest.fixture
def schedule(cron):
    """Add a periodic task of every minute, or another."""

    def make(name="job", **columns):
        with cron.cursor() as cursor:
            add(cursor, name, now=None, **columns)

    return make


def jobs(cron):
    return {name: (schedule, command) for name, schedule, command in cron.execute(OURS).fetchall()}


def others(cron):
    return cron.execute("SELECT * FROM cron.job WHERE jobname NOT LIKE 'reproq:%'").fetchall()


def test_installed_twice_is_installed_once_and_uninstalled_is_gone(pgcron, shop, cron, schedule):
    schedule(time_zone="Europe/Berlin")
    before = others(cron)
    said = pgcron(shop, "install", "--dry-run")
    assert said.count("added") == 2
    assert jobs(cron) == {}
    assert pgcron(shop, "install") == said
    made = jobs(cron)
    assert made["fire"][0] == "* * * * *"
    assert pgcron(shop, "install") == "pg_cron's jobs are as they should be\n"
    assert jobs(cron) == made
    assert pgcron(shop, "uninstall", "--dry-run").count("removed") == 2
    assert jobs(cron) == made
    assert pgcron(shop, "uninstall").count("removed") == 2
    assert jobs(cron) == {}
    assert pgcron(shop, "uninstall") == "there are no jobs of ours\n"
    assert len(before) == 1
    assert others(cron) == before


def test_jobs_follow_the_schedules_in_the_layout_that_is_there(pgcron, shop, cron, schedule):
    schedule("it's", cron_expr="30 2 * * *")
    pgcron(shop, "install", "--layout", "mixed")
    number = str(cron.execute("SELECT id FROM periodic_tasks").fetchone()[0])
    assert jobs(cron)[number][0] == "30 2 * * *"
    cron.execute("UPDATE periodic_tasks SET cron_expr = '@daily'")
    assert "not as it should be: 1 to change; run: reproq pgcron install" in pgcron(shop, "status", code=3)
    assert "changed" in pgcron(shop, "install")
    assert jobs(cron)[number][0] == "0 0 * * *"
    cron.execute(jobs(cron)[number][1])  # the quote in its name is no end of it
    cron.execute("UPDATE periodic_tasks SET enabled = false")
    assert "removed" in pgcron(shop, "install")
    assert sorted(jobs(cron)) == ["fire", "prune"]


def test_a_job_that_an_operator_switched_off_is_not_switched_on(pgcron, shop, cron, schedule):
    schedule()
    pgcron(shop, "install", "--layout", "mixed")
    cron.execute("SELECT cron.alter_job(jobid, active := false) FROM cron.job WHERE jobname LIKE 'reproq:%'")
    cron.execute("UPDATE periodic_tasks SET cron_expr = '@daily'")
    assert pgcron(shop, "install").count("switched off, and left so") == 2
    assert cron.execute("SELECT count(*) FROM cron.job WHERE jobname LIKE 'reproq:%' AND active").fetchone() == (0,)


def test_what_cannot_be_fired_as_meant_is_listed_and_nothing_is_changed(pgcron, shop, cron, schedule):
    schedule("fine")
    schedule("often", cron_expr="*/10 * * * * *")
    said = pgcron(shop, "install", code=3)
    assert "  often: of the ticks of a minute, a job of every minute fires the latest only; pg_cron 1.5" in said
    assert "fine" not in said
    assert jobs(cron) == {}
    assert "refused    often" in pgcron(shop, "install", "--accept-refused")
    assert sorted(jobs(cron)) == ["fire", "prune"]
    assert "refused  often" in pgcron(shop, "status")


def test_status_tells_machines_and_says_where_nothing_is_installed(pgcron, shop, cron):
    assert "pg_cron 1.4, no jobs of ours" in pgcron(shop, "status", code=3)
    pgcron(shop, "install")
    told = json.loads(pgcron(shop, "status", "--json"))
    assert [line["job"]["schedule"] for line in told["lines"]] == ["* * * * *", "17 * * * *"]
    assert "has not run yet" in pgcron(shop, "status")


def test_a_job_that_failed_turns_status_and_doctor_red(pgcron, shop, cron, capsys):
    pgcron(shop, "install")
    cron.execute(
        "INSERT INTO cron.job_run_details (runid, jobid, username, status, return_message, start_time, end_time) "
        "SELECT %s, jobid, username, 'failed', 'connection failed', now(), now() FROM cron.job "
        "WHERE jobname LIKE '%%:fire'",
        [LAST],
    )
    assert re.search(r"failed \d+ s ago \(connection failed\)", pgcron(shop, "status", code=3))
    assert run(["doctor", "--dsn", shop]) == 3
    assert "✗ pg_cron" in capsys.readouterr().out


def test_a_list_that_nobody_refills_turns_the_doctor_red_though_pg_cron_fires(pgcron, shop, cron, schedule, capsys):
    schedule()
    pgcron(shop, "install")
    run(["doctor", "--dsn", shop])
    assert "✓ schedules    1 on, 0 paused, pg_cron fires them" in capsys.readouterr().out
    run(["status", "--dsn", shop])
    assert "schedules  1 on, 0 paused; pg_cron fires them\n" in capsys.readouterr().out
    cron.execute("UPDATE periodic_tasks SET refill_at = now() - interval '2 minutes'")
    assert run(["doctor", "--dsn", shop]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "✗ schedules overdue: job has been due for 2 min" in said
    assert "(a worker with --no-beat, too), and lists nothing itself" in said
    cron.execute("UPDATE periodic_tasks SET upcoming = '{}'")
    assert run(["doctor", "--dsn", shop]) == 3


def test_of_what_pg_cron_noted_only_ours_and_only_the_old_is_forgotten(pgcron, shop, cron):
    pgcron(shop, "install")
    (prune,) = [command for schedule, command in jobs(cron).values() if "prune" in command]
    for command, days in ((prune, 4), (prune, 2), ("VACUUM", 4)):
        cron.execute(
            "INSERT INTO cron.job_run_details (jobid, username, command, start_time, end_time) "
            "VALUES (-1, current_user, %s, now() - %s * interval '1 day', NULL)",
            [command, days],
        )
    assert cron.execute(prune).fetchone() == (1,)
    left = cron.execute("SELECT command FROM cron.job_run_details WHERE jobid = -1 ORDER BY runid").fetchall()
    assert left == [(prune,), ("VACUUM",)]
