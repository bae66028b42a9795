"""`reproq schedules …`, in this process: what each command prints, stores, refuses, and ends with."""

import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from reproq.cli import run
from reproq_django.cli.schedules import code
from tests.store.periodic_rows import column

ADD = "tests.django.tasks.add"


@pytest.fixture
def schedules(db, capsys):
    """Call a command; its exit code, stdout and stderr."""

    def call(*arguments, code=0):
        ended = run(["schedules", *arguments])
        said = capsys.readouterr()
        assert ended == code, said.err + said.out
        return said.out + said.err

    return call


@pytest.fixture
def job(schedules):
    """One that does not fall due while a test is at it, on whatever day that is."""
    begins = ("--time-zone", "Europe/Berlin", "--start-at", "2030-01-01")
    schedules("add", "job", "30 2 * * *", ADD, "--args", "[1]", *begins)


def test_one_is_added_listed_shown_and_removed(schedules, pg):
    assert schedules("list") == "no schedules\n"
    said = schedules("add", "nightly", "30 2 * * *", ADD, "--args", "[1]", "--overlap", "skip", "--jitter", "1m")
    assert said.startswith("nightly is added; next run ")
    (line,) = [json.loads(text) for text in schedules("list", "--json").splitlines()]
    assert (line["name"], line["state"], line["words"], line["origin"]) == (
        "nightly",
        "on",
        "At 02:30 every day",
        "manual",
    )
    assert "At 02:30 every day" in schedules("list")
    shown = json.loads(schedules("show", "nightly", "--json"))
    assert (shown["overlap"], shown["jitter_seconds"], len(shown["upcoming"]), shown["ticks"]) == ("skip", 60.0, 5, [])
    assert schedules("remove", "nightly") == "nightly is removed\n"
    assert pg.execute("SELECT count(*) FROM periodic_tasks").fetchone() == (0,)


def test_everything_that_can_be_said_is_stored(schedules, pg):
    schedules(
        *("add", "full", "*/10 * * * * *", ADD, "--args", "[1]", "--kwargs", '{"right": 2}', "--priority", "5"),
        *("--catch-up", "all", "--catch-up-bound", "7", "--start-at", "2030-01-01", "--end-at", "2031-01-01T00:00:00Z"),
        *("--max-attempts", "1", "--timeout", "30s", "--expires-in", "1h", "--description", "words", "--paused"),
    )
    row = pg.execute(
        "SELECT priority, catch_up, catch_up_bound, start_at, end_at, max_attempts, timeout_seconds, "
        "expires_in_seconds, description, enabled, kwargs::text FROM periodic_tasks"
    ).fetchone()
    moments = (datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC))
    assert row == (5, "all", 7, *moments, 1, 30.0, 3600.0, "words", False, '{"right":2}')


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x", "0 0 30 2 *", ADD, "--args", "[1]"], "cron_expr: '0 0 30 2 *' never fires"),
        (["x", "@daily", ADD, "--args", "[1]", "--time-zone", "Mars"], "time_zone: 'Mars' is no time zone"),
        (["x", "@daily", ADD], "args: tests.django.tasks.add(left, right=0) does not take these arguments"),
        (["x", "@daily", "tests.django.tasks.nope"], "task_path: the schedule names the task"),
        (["x", "@daily", ADD, "--args", "{"], "--args = '{' is not JSON"),
        (["x", "@daily", ADD, "--args", "[1]", "--start-at", "tomorrow"], "--start-at = 'tomorrow' is not a moment"),
        (["x", "@daily", ADD, "--args", "[1]", "--jitter", "soon"], "--jitter = 'soon' is not a duration"),
        (
            ["x", "@daily", ADD, "--args", "[1]", "--start-at", "2031-01-01", "--end-at", "2030-01-01"],
            "end_at: end_at 2030-01-01T00:00:00+00:00 is before start_at",
        ),
        (["x", "* * * * *", ADD, "--args", "[1]", "--jitter", "2m"], "jitter_seconds: a jitter of 120 s is longer"),
        (["x", "@daily", ADD, "--args", "[1]", "--start-at", "9995-01-01"], "start_at: start_at 9995-01-01"),
        (["job", "@daily", ADD, "--args", "[1]"], "name: there is a schedule 'job' already; change it"),
    ],
)
def test_bad_input_is_refused_with_field_and_remedy(schedules, job, arguments, said):
    assert said in schedules("add", *arguments, code=2)


def test_an_edit_changes_what_it_names_and_nothing_else(schedules, job, pg):
    said = schedules("edit", "job", "--cron", "0 5 * * *", "--timeout", "5s", "--rename", "early")
    assert said.startswith("early is changed; next run ")
    row = "SELECT name, cron_expr, timeout_seconds, time_zone, args::text FROM periodic_tasks"
    assert pg.execute(row).fetchone() == ("early", "0 5 * * *", 5.0, "Europe/Berlin", "[1]")
    schedules("edit", "early", "--timeout", "none")
    assert pg.execute("SELECT timeout_seconds FROM periodic_tasks").fetchone() == (None,)
    assert "nothing is to be changed" in schedules("edit", "early", code=2)
    assert "cron_expr: " in schedules("edit", "early", "--cron", "nonsense", code=2)


def test_a_rename_to_a_name_that_is_taken_is_refused(schedules, job):
    schedules("add", "other", "@daily", ADD, "--args", "[1]")
    assert "name: there is a schedule 'job' already" in schedules("edit", "other", "--rename", "job", code=2)


def test_an_edit_undoes_nothing_that_happened_since_it_read_the_row(schedules, job, pg, monkeypatch):
    from reproq_django.periodic_tasks import PeriodicTask

    def paused_meanwhile(self, **options):
        pg.execute("UPDATE periodic_tasks SET enabled = false, declared = '{}'")

    monkeypatch.setattr(PeriodicTask, "full_clean", paused_meanwhile)
    schedules("edit", "job", "--cron", "@daily")
    row = "SELECT cron_expr, enabled, declared::text FROM periodic_tasks"
    assert pg.execute(row).fetchone() == ("@daily", False, "{}")


def test_every_command_works_where_django_uses_no_time_zones(schedules, pg):
    from django.test import override_settings

    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
        schedules("add", "job", "0 9 * * *", ADD, "--args", "[1]", "--start-at", "2030-01-01")
        first = pg.execute("SELECT upcoming[1] FROM periodic_tasks").fetchone()
        assert first == (datetime(2030, 1, 1, tzinfo=UTC),)
        (line,) = [json.loads(text) for text in schedules("list", "--json").splitlines()]
        assert datetime.fromisoformat(line["next_run_at"]) == first[0]
        assert schedules("next", "job", "-n", "1").startswith("Tue 2030-01-01 09:00:00 +0900  2030-01-01 00:00:00 UTC")
        schedules("edit", "job", "--end-at", "2031-01-01T00:00:00Z")
        assert schedules("run", "job") == "run 1 is enqueued\n"
        shown = json.loads(schedules("show", "job", "--json"))
        assert shown["start_at"] == "2030-01-01T00:00:00+09:00"
        assert shown["ticks"][0]["due_at"].endswith("+09:00")
        assert schedules("skip", "job").startswith("job skips ")
        assert schedules("check") == "every schedule can fire, and none is overdue\n"


def test_one_that_is_not_there_is_said_with_a_near_name(schedules, job):
    for command in ("show", "next", "pause", "resume", "run", "skip", "remove"):
        assert "there is no schedule 'jb'; did you mean 'job'?" in schedules(command, "jb", code=4)


def test_a_paused_one_fires_again_when_it_is_resumed(schedules, job, pg):
    assert schedules("pause", "job") == "job is paused\n"
    assert '"state": "paused"' in schedules("list", "--json")
    assert schedules("resume", "job").startswith("job is on; next run ")
    assert pg.execute("SELECT cardinality(upcoming) FROM periodic_tasks").fetchone() == (50,)


def test_one_is_fired_by_hand_and_overlap_counts(schedules, job, pg):
    schedules("edit", "job", "--overlap", "skip")
    assert schedules("run", "job") == "run 1 is enqueued\n"
    assert "job is skipped: its run 1 has not finished (overlap skip)" in schedules("run", "job", code=1)
    with pg.cursor() as cursor:
        assert column(cursor, "last_run_id") == 1
    ticks = json.loads(schedules("show", "job", "--json"))["ticks"]
    assert [tick["outcome"] for tick in ticks] == ["skipped", "enqueued"]


def test_the_next_tick_is_skipped_and_no_other(schedules, job, pg):
    first, second = pg.execute("SELECT upcoming[1], upcoming[2] FROM periodic_tasks").fetchone()
    assert schedules("skip", "job").startswith("job skips ")
    assert pg.execute("SELECT next_run_at FROM periodic_tasks").fetchone() == (second,)
    assert pg.execute("SELECT due_at, outcome FROM reproq_ticks").fetchall() == [(first, "skipped")]
    schedules("pause", "job")
    assert "has no next tick to skip" in schedules("skip", "job", code=1)


def test_next_shows_local_time_utc_and_what_the_clock_does(schedules, job):
    text = schedules("next", "job", "-n", "400")
    assert len(text.splitlines()) == 400
    assert text.startswith("Tue 2030-01-01 02:30:00 +0100  2030-01-01 01:30:00 UTC\n")
    assert "03:00:00 +0200" in text
    assert "<- the time that it names does not exist that day; it fires when the gap is over" in text
    assert "<- the clock shows this time twice; it fires at the first" in text
    schedules("pause", "job")
    assert "it is paused" in schedules("next", "job", "-n", "1")


def test_a_list_shows_times_in_the_zone_that_it_names(schedules, job, pg, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")  # a narrow terminal cuts the names of zones
    listed = "UPDATE periodic_tasks SET upcoming = ARRAY['2031-07-01 10:30Z'::timestamptz]"
    pg.execute(listed)
    assert "Europe/Berlin 07-01 12:30" in " ".join(schedules("list").split())
    pg.execute("UPDATE periodic_tasks SET time_zone = 'Mars'")
    pg.execute(listed)
    assert "07-01 10:30" in schedules("list")
    assert "Mars (shown in UTC)" in " ".join(schedules("list").split())


def test_check_judges_what_is_stored(schedules, job, pg):
    assert schedules("check") == "every schedule can fire, and none is overdue\n"
    pg.execute("UPDATE periodic_tasks SET task_path = 'tests.django.tasks.gone'")
    pg.execute("UPDATE periodic_tasks SET upcoming = ARRAY[now() - interval '1 h']")
    said = schedules("check", code=3)
    assert "job: task_path: the schedule names the task 'tests.django.tasks.gone'" in said
    assert "job has been due for 60 min; start a worker, or reproq beat" in said


def test_what_is_declared_and_not_stored_is_told_by_list_check_and_doctor(schedules, capsys):
    from django.test import override_settings

    from tests.django.test_sync import MODULES

    told = "3 are declared in the code and not stored (first, second, tests.django.scheduled.nightly)"
    with override_settings(TASKS=MODULES):
        assert schedules("list") == f"no schedules\n{told}: reproq schedules sync\n"
        assert f"{told}: reproq schedules sync\n" in schedules("check", code=3)
        assert (f"✗ schedules    {told}", "-> reproq schedules sync") in doctor(capsys)
        schedules("sync")
        assert "not stored" not in schedules("list")
        assert not any("not stored" in line for line, _ in doctor(capsys))


def doctor(capsys):
    """Its lines about schedules, each with its remedy."""
    run(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    remedies = (line.strip() for line in [*lines[1:], ""])
    return [pair for pair in zip(lines, remedies, strict=True) if pair[0][2:].startswith("schedules ")]


def test_schedules_that_nobody_fires_or_no_worker_could_run_turn_the_doctor_red(schedules, job, pg, capsys):
    ((line, remedy),) = doctor(capsys)
    assert line == "✗ schedules    1 on, 0 paused, nobody fires them"
    assert remedy.startswith("-> start a worker, or reproq beat")
    pg.execute("UPDATE periodic_tasks SET task_path = 'tests.django.tasks.gone'")
    _, (line, remedy) = doctor(capsys)
    assert line.startswith("✗ schedules    job: task_path: the schedule names the task 'tests.django.tasks.gone'")
    assert remedy == "-> correct it: reproq schedules edit job, or pause it"
    schedules("pause", "job")
    assert [line for line, _ in doctor(capsys)] == ["✓ schedules    0 on, 1 paused"]


def test_a_status_with_everything_paused_asks_for_no_scheduler(schedules, job, capsys):
    run(["status"])
    assert "schedules  1 on, 0 paused; nobody fires them; start reproq worker" in capsys.readouterr().out
    schedules("pause", "job")
    run(["status"])
    assert "schedules  0 on, 1 paused\n" in capsys.readouterr().out


def test_a_status_shows_how_late_ticks_are_what_is_overdue_and_the_last_beat(schedules, job, pg, capsys):
    pg.execute(
        "INSERT INTO reproq_ticks (periodic_task_id, due_at, outcome, run_id, decided_at)"
        " SELECT id, now() - interval '20 s', 'enqueued', 1, now() - interval '19.75 s' FROM periodic_tasks"
    )
    pg.execute("UPDATE periodic_tasks SET upcoming = ARRAY[now() - interval '1 h']")
    pg.execute("INSERT INTO reproq_workers (worker_id, role, beats) VALUES ('beat-1', 'beat', true)")
    run(["status"])
    said = capsys.readouterr().out
    assert re.search(r"schedules  1 on, 0 paused; last beat \d s ago\n", said)
    assert "lag        0.250 s from due to enqueued, 0.250 s at most\n" in said
    assert "overdue    job has been due for 60 min\n" in said
    run(["status", "--json"])
    told = json.loads(capsys.readouterr().out)["schedules"]
    assert (told["lag_p50_seconds"], told["lag_max_seconds"]) == (0.25, 0.25)
    assert told["overdue"]["job"] == pytest.approx(3610, abs=10)
    assert told["last_beat_seconds"] == pytest.approx(10, abs=10)
    pg.execute("UPDATE periodic_tasks SET cron_expr = '@daily'")
    run(["status"])
    assert "overdue    job was changed, and nobody has looked at it since\n" in capsys.readouterr().out


@pytest.mark.parametrize(("unseen", "is_overdue"), [("0 s", True), ("1 h", False)])
def test_check_gives_pg_cron_its_minute_where_the_last_beat_is_dead(
    schedules, job, pg, monkeypatch, unseen, is_overdue
):
    monkeypatch.setattr(code, "our_jobs", lambda cursor: [SimpleNamespace(job=SimpleNamespace(active=True))])
    pg.execute("UPDATE periodic_tasks SET upcoming = ARRAY[now() - interval '30 s']")
    pg.execute(
        "INSERT INTO reproq_workers (worker_id, role, beats, last_seen_at)"
        " VALUES ('beat-1', 'beat', true, now() - %s::interval)",
        [unseen],
    )
    said = schedules("check", code=3 if is_overdue else 0)
    assert bool(re.search(r"job has been due for [34]\d s", said)) == is_overdue


def test_a_sync_prints_what_it_did(schedules, pg):
    from django.test import override_settings

    from tests.django.test_sync import MODULES

    with override_settings(TASKS=MODULES):
        assert "created    first" in schedules("sync")
        pg.execute("UPDATE periodic_tasks SET priority = 7 WHERE name = 'first'")
        said = schedules("sync", "--dry-run")
        assert "drifted    first: priority is 7, the code says 0; --overwrite takes its word" in said
        assert "unchanged  2" in said
        assert json.loads(schedules("sync", "--json"))["problems"] == {}
        assert "the code declares it" in schedules("remove", "first")
