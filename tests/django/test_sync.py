"""Schedules in code: what `@periodic` refuses, where declarations are found, and how a sync merges them."""

import dataclasses
import io
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import IntegrityError
from django.test import override_settings

from reproq.errors import ConfigurationError
from tests.django.conftest import OURS

MODULES = {
    "default": {"BACKEND": OURS, "OPTIONS": {"TASK_MODULES": ["tests.django.scheduled"], "SYNC_SCHEDULES": True}}
}
PATH = "tests.django.scheduled.nightly"


def synced(**options):
    from reproq_django.sync import sync

    with override_settings(TASKS=MODULES):
        return sync("default", **options)


def row(name=PATH):
    from reproq_django.models import PeriodicTask

    return PeriodicTask.objects.get(name=name)


@pytest.fixture
def declare(monkeypatch):
    """Make the code declare other things: (name of a task, what `@periodic` says) each."""
    from reproq_django import sync
    from reproq_django.declared import Declaration
    from tests.django import scheduled

    def make(*pairs):
        found = [(getattr(scheduled, task), Declaration(**says)) for task, says in pairs]
        monkeypatch.setattr(sync, "declarations", lambda: found)

    return make


# -- the decorator ----------------------------------------------------------------------------------------------------


def test_the_decorator_sets_one_attribute_of_the_function_and_returns_the_task(django_project):
    from django.tasks import Task

    from tests.django import scheduled

    assert isinstance(scheduled.nightly, Task)
    assert [one.cron_expr for one in scheduled.nightly.func.reproq_periodic] == ["0 2 * * *"]
    assert [one.name for one in scheduled.twice.func.reproq_periodic] == ["first", "second"]
    assert not hasattr(scheduled.never.func, "reproq_periodic")


@pytest.mark.lesson("an-invalid-expression-that-fails-for-ever")
@pytest.mark.parametrize(
    ("expression", "says", "field", "reason"),
    [
        ("0 0 30 2 *", {}, "cron_expr", "never fires"),
        ("@daily", {"time_zone": "Mars"}, "time_zone", "is no time zone"),
        ("@daily", {"overlap": "perhaps"}, "overlap", "is none of allow, skip, queue_one"),
        ("@daily", {"catch_up": "some"}, "catch_up", "is none of none, latest, all"),
        ("@daily", {"catch_up_bound": 0}, "catch_up_bound", "outside 1 to 1000"),
        ("* * * * *", {"jitter": "2m"}, "jitter_seconds", "longer than the period"),
        ("@daily", {"jitter": "soon"}, "jitter_seconds", "is not a duration"),
        ("@daily", {"start_at": datetime(2030, 1, 1)}, "start_at", "has no time zone"),
    ],
)
def test_what_could_not_fire_is_kept_as_a_fault_of_its_field(django_project, expression, says, field, reason):
    ((told, text),) = declared(expression, **says).faults
    assert told == field
    assert reason in text


def declared(expression, **says):
    from reproq_django import periodic

    (one,) = periodic(expression, **says)(lambda: None).reproq_periodic
    return one


def test_every_fault_of_a_declaration_is_kept(django_project):
    found = dict(declared("0 0 30 2 *", time_zone="Mars", jitter="soon", overlap=3, start_at="tomorrow").faults)
    assert set(found) == {"cron_expr", "time_zone", "jitter_seconds", "overlap", "start_at"}


def test_a_word_that_means_nothing_is_refused(django_project):
    from reproq_django import periodic

    with pytest.raises(TypeError, match=r"@periodic has no keyword 'overlaps'; did you mean 'overlap'\?"):
        periodic("@daily", overlaps="skip")
    with pytest.raises(TypeError, match="@periodic has no keyword 'xyz'; it has args, "):
        periodic("@daily", xyz=1)


def test_a_decorator_without_an_expression_says_how_it_is_written(django_project):
    from reproq_django import periodic
    from tests.django import scheduled

    for bare in (scheduled.never, scheduled.never.func):
        with pytest.raises(TypeError, match="needs a cron expression: write @periodic"):
            periodic(bare)


# -- where they are found ---------------------------------------------------------------------------------------------


def test_task_modules_of_installed_apps_are_found_though_nobody_imported_them(db):
    from reproq_django.task_modules import module_names

    apps = ["reproq_django", "reproq_django.quickstart"]
    with override_settings(INSTALLED_APPS=apps, TASKS=MODULES):
        assert module_names() == ["reproq_django.quickstart.tasks", "tests.django.scheduled"]


def test_a_module_that_cannot_be_imported_is_named(db):
    from reproq_django.sync import sync

    tasks = {"default": {"BACKEND": OURS, "OPTIONS": {"TASK_MODULES": ["no.such.module"]}}}
    with override_settings(TASKS=tasks), pytest.raises(ConfigurationError, match=r"the task module no\.such\.module"):
        sync("default")


# -- what is stored ---------------------------------------------------------------------------------------------------


def test_a_declaration_becomes_a_row_with_the_options_of_its_task(db):
    report = synced()
    assert sorted(report.created) == ["first", "second", PATH]
    made = row()
    assert (made.cron_expr, made.time_zone, made.overlap, made.jitter_seconds) == (
        "0 2 * * *",
        "Europe/Berlin",
        "skip",
        30,
    )
    assert (made.priority, made.max_attempts, made.timeout_seconds, made.backoff_seconds[:2]) == (5, 2, 60, [3, 6])
    assert (made.on_lost_contact, row("first").on_lost_contact) == ("stop", "continue")
    assert (made.description, made.origin, len(made.upcoming)) == ("Closes the books.", "code", 50)
    assert (row("first").args, row("second").kwargs, row("second").description) == (
        ["a"],
        {"note": "b"},
        "Its own words.",
    )
    again = synced()
    assert (len(again.unchanged), again.created, again.updated, again.drifted) == (3, [], {}, {})


def test_what_the_code_says_anew_is_updated(db, declare):
    declare(("nightly", {"cron_expr": "@daily"}))
    synced()
    declare(("nightly", {"cron_expr": "@hourly", "catch_up": "all"}))
    assert synced().updated == {PATH: ["cron_expr", "catch_up"]}
    assert (row().cron_expr, row().catch_up) == ("@hourly", "all")


def test_what_somebody_changed_is_drift_until_the_code_says_something_new(db, declare, pg):
    declare(("nightly", {"cron_expr": "@daily"}))
    synced()
    pg.execute("UPDATE periodic_tasks SET cron_expr = '@weekly', priority = 7")
    for _ in range(2):
        drifted = synced().drifted[PATH]
        assert drifted == {"cron_expr": ("@daily", "@weekly"), "priority": (5, 7)}
    declare(("nightly", {"cron_expr": "@hourly"}))
    report = synced()
    assert report.updated == {PATH: ["cron_expr"]}
    assert report.drifted == {PATH: {"priority": (5, 7)}}
    assert (row().cron_expr, row().priority) == ("@hourly", 7)
    assert synced(overwrite=True).updated == {PATH: ["priority"]}
    assert row().priority == 5


@pytest.mark.lesson("sync-switches-on-what-was-switched-off")
def test_no_sync_switches_on_what_an_operator_switched_off(db, declare, pg):
    declare(("nightly", {"cron_expr": "@daily"}))
    synced()
    pg.execute("UPDATE periodic_tasks SET enabled = false")
    declare(("nightly", {"cron_expr": "@hourly"}))
    for options in ({}, {"overwrite": True}, {"prune": True}):
        synced(**options)
        assert (row().enabled, row().paused_at is not None) == (False, True)
    assert row().cron_expr == "@hourly"


def test_what_the_code_no_longer_has_is_told_and_removed_when_asked(db, declare):
    synced()
    declare(("nightly", {"cron_expr": "0 2 * * *"}))
    assert synced().gone == ["first", "second"]
    assert synced(prune=True).pruned == ["first", "second"]
    assert synced().gone == []


def test_what_was_made_by_hand_is_neither_taken_over_nor_removed(db, declare, pg):
    pg.execute("INSERT INTO periodic_tasks (name, cron_expr, task_path) VALUES ('first', '@yearly', 'x.y')")
    report = synced(prune=True)
    assert "made by hand" in report.problems["first"]
    assert row("first").cron_expr == "@yearly"


def test_a_dry_run_stores_nothing(db):
    assert len(synced(only_look=True).created) == 3
    assert not _exists()


def _exists():
    from reproq_django.models import PeriodicTask

    return PeriodicTask.objects.exists()


def test_two_schedules_of_one_name_are_refused(db, declare):
    declare(("nightly", {"cron_expr": "@daily", "name": "same"}), ("twice", {"cron_expr": "@daily", "name": "same"}))
    assert "two schedules bear the name 'same'" in synced().problems["same"]


def test_a_declaration_that_does_not_fit_its_task_is_refused_and_the_others_are_stored(db, declare):
    declare(
        ("twice", {"cron_expr": "@daily", "name": "bad"}),
        ("twice", {"cron_expr": "@daily", "name": "good", "args": [1]}),
    )
    report = synced()
    assert "missing a required argument: 'note'" in report.problems["bad"]
    assert report.created == ["good"]


def test_a_wrong_declaration_is_told_by_a_sync_and_keeps_no_other_from_being_stored(db, monkeypatch):
    from reproq_django import sync
    from tests.django import scheduled

    pairs = [(scheduled.nightly, declared("0 0 30 2 *")), (scheduled.nightly, declared("@daily", name="good"))]
    monkeypatch.setattr(sync, "declarations", lambda: pairs)
    report = synced()
    assert "cron_expr: '0 0 30 2 *' never fires" in report.problems[PATH]
    assert report.created == ["good"]


def test_a_sync_tells_every_fault_that_a_check_tells_in_the_same_words(db, monkeypatch):
    from reproq_django import schedule_checks, sync
    from tests.django import scheduled

    wrong = declared("0 0 30 2 *", name="bad", time_zone="Mars", args=[])
    for module in (schedule_checks, sync):
        monkeypatch.setattr(module, "declarations", lambda: [(scheduled.twice, wrong)])
    problem = synced().problems["bad"]
    for part in (
        "name days that do. time_zone: 'Mars' is",
        "or Europe/Berlin, say",
        "args: tests.django.scheduled.",
    ):
        assert part in problem
    (checked,) = schedule_checks.check_declarations()
    assert checked.msg.endswith(f" is wrong: {problem}")


def test_what_the_rules_refuse_is_told_as_sentences(db, declare):
    declare(("twice", {"cron_expr": "@daily", "name": "bad", "priority": 1000}))
    problem = synced().problems["bad"]
    assert "missing a required argument: 'note'." in problem
    assert "priority = 1000 is outside -100 to 100." in problem


def test_a_check_names_the_task_the_line_and_every_fault(django_project, monkeypatch):
    from reproq_django import schedule_checks
    from tests.django import scheduled

    wrong = declared("0 0 30 2 *", time_zone="Mars", args=[1])
    pairs = [(scheduled.twice, wrong), (scheduled.never, wrong), (scheduled.nightly, declared("@daily"))]
    monkeypatch.setattr(schedule_checks, "declarations", lambda: pairs)
    found = schedule_checks.check_declarations()
    assert [message.id for message in found] == ["reproq.E016", "reproq.E016"]
    for part in ("tests.django.scheduled.twice", "scheduled.py:", "never fires", "'Mars' is no time zone"):
        assert part in found[0].msg
    monkeypatch.setattr(schedule_checks, "declarations", lambda: [(scheduled.twice, declared("x"))])
    (message,) = schedule_checks.check_declarations()
    assert "cron_expr: " in message.msg
    assert "missing a required argument: 'note'" in message.msg


def test_a_check_names_two_schedules_of_one_name(django_project, monkeypatch):
    from reproq_django import schedule_checks
    from tests.django import scheduled

    pairs = [(scheduled.nightly, declared("@daily")), (scheduled.nightly, declared("@hourly"))]
    monkeypatch.setattr(schedule_checks, "declarations", lambda: pairs)
    found = [message.msg for message in schedule_checks.check_declarations()]
    assert len(found) == 2
    assert all("name: another schedule of the code bears it; say name=… in one of them." in text for text in found)


def test_a_check_names_a_module_that_cannot_be_imported(django_project):
    from reproq_django.schedule_checks import check_declarations

    tasks = {"default": {"BACKEND": OURS, "OPTIONS": {"TASK_MODULES": ["no.such.module"]}}}
    with override_settings(TASKS=tasks):
        (message,) = check_declarations()
    assert message.id == "reproq.W017"
    assert "the task module no.such.module cannot be imported: ModuleNotFoundError" in message.msg


# -- after a migrate --------------------------------------------------------------------------------------------------


def migrated(**options):
    out = io.StringIO()
    changed = {"default": MODULES["default"] | {"OPTIONS": MODULES["default"]["OPTIONS"] | options}}
    with override_settings(TASKS=changed):
        call_command("migrate", "reproq_django", verbosity=1, stdout=out)


def test_a_migrate_stores_what_the_code_declares(db, capsys):
    migrated()
    assert _exists()
    assert "Schedules of the code: 3 stored" in capsys.readouterr().out


def test_a_migrate_leaves_schedules_alone_where_that_is_said(db):
    migrated(SYNC_SCHEDULES=False)
    assert not _exists()


def test_a_migrate_does_not_fail_for_a_module_that_cannot_be_imported(db, capsys):
    migrated(TASK_MODULES=["no.such.module"])
    assert "Schedules are not synchronised: the task module no.such.module" in capsys.readouterr().err


def test_arguments_that_json_changes_are_the_same_at_the_next_sync(db, declare):
    declare(("never", {"cron_expr": "@daily", "args": [("a", 1)]}))
    assert synced().created == ["tests.django.scheduled.never"]
    assert synced().unchanged == ["tests.django.scheduled.never"]
    assert row("tests.django.scheduled.never").args == [["a", 1]]


def test_moments_are_the_same_at_the_next_sync_where_django_uses_no_time_zones(db, declare):
    start = datetime.fromisoformat("2030-01-01T12:00:00+02:00")
    declare(("nightly", {"cron_expr": "@daily", "start_at": start}))
    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
        assert synced().created == [PATH]
        assert synced().unchanged == [PATH]


def test_a_row_that_the_table_refuses_is_no_row_that_was_there(db, declare, pg):
    pg.execute("ALTER TABLE periodic_tasks ADD CONSTRAINT named CHECK (name <> 'nope')")
    declare(("nightly", {"cron_expr": "@daily", "name": "nope"}))
    with pytest.raises(IntegrityError, match="named"):
        synced()


def test_moments_survive_the_way_through_json(db, declare):
    start = datetime.fromisoformat("2030-01-01T12:00:00+02:00")
    declare(("nightly", {"cron_expr": "@daily", "start_at": start, "end_at": start + timedelta(days=9)}))
    synced()
    assert synced().unchanged == [PATH]
    assert dataclasses.asdict(synced())["drifted"] == {}
