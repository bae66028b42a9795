"""The plan of pg_cron's jobs: what it can express in which version, what it leaves alone, and what it refuses."""

import dataclasses

import pytest

from reproq.schedule.pgcron import Job, Layout, Place, layout_of, plan
from reproq.schedule.pgcron_words import Cron, Scheduled, expressed
from reproq.schedule.timing import CatchUp, Overlap

OLD, NEW = Cron((1, 4)), Cron((1, 6))
PLACE = Place("3f2a9c1b-0000-0000-0000-000000000000", "shop", "public")
MARK = " /* reproq:3f2a9c1b */"
FIRE, PRUNE = "reproq:3f2a9c1b:fire", "reproq:3f2a9c1b:prune"


def task(cron_expr="0 2 * * *", name="nightly", number=1, **more):
    return Scheduled(number, name, cron_expr, **more)


def planned(*tasks, layout=Layout.SHARED, cron=OLD, jobs=(), user="app"):
    return plan(layout, cron, PLACE, user, tasks, jobs)


def installed(*tasks, layout=Layout.SHARED, cron=OLD, user="app", **more):
    made = planned(*tasks, layout=layout, cron=cron)
    return [
        Job(number, one.name, one.schedule, one.command, "shop", user, **more) for number, one in enumerate(made.add, 1)
    ]


def test_one_job_a_minute_fires_all_and_one_prunes_after_it():
    made = planned(task(), task("@hourly", "other", 2, time_zone="Europe/Berlin"))
    assert [(one.name, one.schedule, one.command) for one in made.add] == [
        (FIRE, "* * * * *", f"SELECT public.reproq_fire_due(){MARK}"),
        (PRUNE, "17 * * * *", f"SELECT public.reproq_prune_pgcron('/* reproq:3f2a9c1b */'){MARK}"),
    ]
    assert (made.late, made.refused) == ({}, {})


def test_what_is_installed_needs_nothing_more():
    for layout in Layout:
        tasks = [task(catch_up=CatchUp.NONE), task("@hourly", "other", 2, catch_up=CatchUp.NONE)]
        jobs = installed(*tasks, layout=layout)
        made = planned(*tasks, layout=layout, jobs=jobs)
        assert made.is_done
        assert made.keep == jobs
        assert layout_of(PLACE, jobs) is layout
    assert layout_of(PLACE, []) is None


def test_the_shared_job_needs_no_change_when_a_schedule_comes():
    assert planned(task(), task("@daily", "new", 2, time_zone="Asia/Tokyo"), jobs=installed(task())).is_done


def test_jobs_of_others_are_never_touched():
    foreign = [
        Job(8, "vacuum", "0 3 * * *", "VACUUM", "shop", "app"),
        Job(9, "reproq:00000000:fire", "* * * * *", "SELECT public.reproq_fire_due()", "other", "app"),
    ]
    made = planned(task(), jobs=[*foreign, *installed(task())])
    assert made.is_done
    assert not set(map(id, foreign)) & set(map(id, made.keep))


def test_what_differs_is_changed_and_what_is_too_much_is_removed():
    jobs = installed(task(), layout=Layout.MIXED)
    jobs[0] = dataclasses.replace(jobs[0], schedule="0 3 * * *")
    made = planned(task(), layout=Layout.MIXED, jobs=jobs)
    assert [(one.name, one.schedule) for one in made.change] == [("reproq:3f2a9c1b:1:nightly", "0 2 * * *")]
    assert (made.add, made.remove, len(made.keep)) == ([], [], 2)
    assert planned(jobs=jobs).remove == jobs[:1]


def test_a_job_that_somebody_switched_off_stays_off():
    jobs = installed(task(), active=False)
    assert planned(task(), jobs=jobs).is_done


def test_a_job_of_a_renamed_database_or_of_another_role_is_made_anew():
    jobs = installed(task())
    made = planned(task(), jobs=[dataclasses.replace(jobs[0], database="old"), jobs[1]])
    assert ([one.jobid for one in made.remove], [one.name for one in made.add]) == ([1], [FIRE])
    stale = dataclasses.replace(jobs[0], username="postgres", command="SELECT 1")
    made = planned(task(), jobs=[stale, jobs[1]])
    assert ([one.jobid for one in made.remove], [one.name for one in made.add], made.change) == ([1], [FIRE], [])


def test_of_two_equal_jobs_one_goes():
    jobs = installed(task())
    twin = dataclasses.replace(jobs[0], jobid=7, username="postgres")
    made = planned(task(), jobs=[twin, *jobs])
    assert (made.remove, made.keep) == ([twin], jobs)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("30 2 * * *", "30 2 * * *"),
        ("0 30 2 * * *", "30 2 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("*/15 8-18/2 1,15 jan-mar mon,FRI", "*/15 8-18/2 1,15 jan-mar mon,FRI"),
    ],
)
def test_pg_cron_says_the_same_in_its_own_words(written, words):
    assert expressed(task(written), OLD) == (words, "")


@pytest.mark.parametrize(
    ("one", "cron", "reason"),
    [
        (task("*/10 * * * * *"), NEW, "it names seconds"),
        (task(jitter_seconds=30.0), NEW, "it has jitter"),
        (task("0 0 L * *"), NEW, "pg_cron does not know L"),
        (task("0 0 * * 1#2"), NEW, "pg_cron does not know 1#2"),
        (task("5/15 * * * *"), NEW, "pg_cron does not know 5/15"),
        (task("0 0 30 2 *"), NEW, "'0 0 30 2 *' never fires: no day 30 exists in month 2; name days that do"),
        (task(time_zone="Asia/Tokyo"), OLD, "its zone is Asia/Tokyo, pg_cron's GMT"),
        (
            task(time_zone="Europe/Berlin"),
            Cron((1, 6), "Europe/Berlin"),
            "its zone is Europe/Berlin, pg_cron's Europe/Berlin, "
            "whose changes of the clock pg_cron treats in another way",
        ),
        (task(), Cron((1, 6), "Asia/Tokyo"), "its zone is UTC, pg_cron's Asia/Tokyo"),
        (
            task(),
            Cron((1, 6), None),
            "this role may not read cron.timezone (GRANT pg_read_all_settings lets it)",
        ),
    ],
)
def test_what_pg_cron_cannot_express_goes_to_the_shared_job_or_is_refused_with_reason_and_remedy(one, cron, reason):
    assert expressed(one, cron) == ("", reason)
    mixed = planned(one, layout=Layout.MIXED, cron=cron)
    assert [job.name for job in mixed.add] == [FIRE, PRUNE]
    each = planned(one, layout=Layout.EACH, cron=cron)
    assert each.refused == {"nightly": f"{reason}; install --layout mixed, or leave it to workers or reproq beat"}


def test_a_zone_whose_clock_stands_still_is_expressed_where_it_is_pg_crons():
    assert expressed(task(time_zone="Asia/Tokyo"), Cron((1, 5), "Asia/Tokyo")) == ("0 2 * * *", "")
    assert expressed(task(time_zone="Etc/UTC"), Cron((1, 5), "GMT")) == ("0 2 * * *", "")


def test_a_job_for_each_refuses_policies_that_need_somebody_in_between():
    tasks = [
        task(name="queued", overlap=Overlap.QUEUE_ONE, catch_up=CatchUp.NONE),
        task(name="missed", number=2),
        task(name="fine", number=3, catch_up=CatchUp.NONE),
    ]
    made = planned(*tasks, layout=Layout.EACH)
    assert list(made.refused) == ["queued", "missed"]
    assert "would wait for the job's next time" in made.refused["queued"]
    assert "catch_up latest has nobody to make up for missed ticks" in made.refused["missed"]
    assert [one.name for one in made.add] == ["reproq:3f2a9c1b:3:fine", PRUNE]


def test_seconds_are_late_or_refused_before_1_5_and_fired_by_a_quicker_job_since():
    tasks = [
        task("*/10 * * * * *", "often", 1),
        task("30 0 2 * * *", "once", 2),
        task("0 2 * * *", "shaken", 3, jitter_seconds=30.0, catch_up=CatchUp.NONE),
        task("*/10 * * * * *", "all", 4, catch_up=CatchUp.ALL),
    ]
    old = planned(*tasks)
    assert list(old.late) == ["once", "all"]
    assert list(old.refused) == ["often", "shaken"]
    assert "fires the latest only; pg_cron 1.5 has seconds; or leave it to workers" in old.refused["often"]
    assert "catch_up none drops what is late" in old.refused["shaken"]
    new = planned(*tasks, cron=NEW)
    assert (new.late, new.refused) == ({}, {})
    assert {one.name: one.schedule for one in new.add}[FIRE] == "5 seconds"
    jobs = installed(task(), cron=NEW)
    assert [(one.name, one.schedule) for one in planned(*tasks, cron=NEW, jobs=jobs).change] == [(FIRE, "5 seconds")]


def test_names_are_quoted_and_cut_to_what_pg_cron_keeps():
    made = planned(task(name="it's \\ " + "é" * 60, number=41), layout=Layout.MIXED).add[0]
    assert len(made.name.encode()) <= 63
    assert made.name.startswith("reproq:3f2a9c1b:41:it's")
    assert "reproq_enqueue_periodic_task(E'it''s \\\\ ééé" in made.command
