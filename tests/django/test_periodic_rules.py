"""What is refused when a periodic task is saved, wherever it comes from: each fault at its field, with the remedy."""

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError

from reproq.spec import make_spec
from tests.django.conftest import OURS

SOON = datetime(2030, 1, 2, tzinfo=UTC)


def job(**changes):
    from reproq_django.models import PeriodicTask

    return PeriodicTask(
        **{"name": "nightly", "cron_expr": "@daily", "task_path": "tests.django.tasks.add", "args": [1]} | changes
    )


def refusals(**changes):
    """The first sentence at each field."""
    try:
        job(**changes).full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        return {field: texts[0] for field, texts in error.message_dict.items()}
    return {}


REFUSED = [
    ({"cron_expr": "0 0 30 2 *"}, "cron_expr", "never fires"),
    ({"cron_expr": "0 0 * *"}, "cron_expr", "has 4 fields"),
    ({"time_zone": "Mars"}, "time_zone", "is no time zone of the IANA database; write UTC or Europe/Berlin"),
    ({"start_at": SOON, "end_at": SOON.replace(year=2029)}, "end_at", "is before start_at"),
    ({"jitter_seconds": 90_000.0}, "jitter_seconds", "outside 0 to 86400 s"),
    ({"jitter_seconds": 7200.0, "cron_expr": "@hourly"}, "jitter_seconds", "is longer than the period of '@hourly'"),
    ({"start_at": SOON.replace(year=1)}, "start_at", "is outside 1970 to 9990; leave it out"),
    ({"end_at": SOON.replace(year=9995)}, "end_at", "is outside 1970 to 9990; leave it out"),
    ({"start_at": "soon", "end_at": SOON}, "start_at", "invalid format"),
    ({"cron_expr": None}, "cron_expr", "cannot be null"),
    ({"time_zone": None}, "time_zone", "cannot be null"),
    ({"task_path": None}, "task_path", "cannot be null"),
    ({"catch_up_bound": 1001}, "catch_up_bound", "outside 1 to 1000"),
    ({"overlap": "perhaps"}, "overlap", "not a valid choice"),
    ({"args": []}, "args", "missing a required argument: 'left'"),
    ({"args": [1, 2, 3]}, "args", "too many positional arguments"),
    ({"kwargs": {"centre": 1}}, "args", "unexpected keyword argument 'centre'"),
    ({"args": {"left": 1}}, "args", "args must be a list"),
    ({"task_path": "tests.django.tasks.ad"}, "task_path", "did you mean 'add'?"),
    ({"task_path": "no.such.module"}, "task_path", "No module named 'no'"),
    ({"task_path": "add"}, "task_path", "module and a name"),
    ({"queue_name": "a,b"}, "queue_name", "commas"),
    ({"queue_name": "elsewhere"}, "queue_name", "add it there, or set QUEUES to [] for any"),
    ({"backend": "reports"}, "backend", "TASKS has no backend 'reports' of Reproq's; those are 'default'"),
    ({"priority": 101}, "priority", "outside -100 to 100"),
    ({"max_attempts": 0}, "max_attempts", "outside 1 to 1000"),
    ({"timeout_seconds": 0.0}, "timeout_seconds", "outside 0.001"),
    ({"expires_in_seconds": 0.0}, "expires_in_seconds", "outside 0.001"),
    ({"name": "a\nb"}, "name", "printable"),
    ({"name": "x" * 201}, "name", "over the bound of 200"),
]


@pytest.mark.lesson("an-invalid-expression-that-fails-for-ever")
@pytest.mark.parametrize(("changes", "field", "reason"), REFUSED)
def test_what_could_not_fire_or_run_is_refused_when_it_is_saved(django_project, changes, field, reason):
    from django.test import override_settings

    with override_settings(TASKS={"default": {"BACKEND": OURS}}):
        found = refusals(**changes)
    assert list(found) == [field]
    assert reason in found[field]


def test_a_moment_without_a_zone_is_one_of_the_projects(django_project):
    assert "is before start_at" in refusals(start_at=datetime(2099, 1, 1), end_at=SOON)["end_at"]


def test_a_good_one_is_not_refused(django_project):
    assert refusals() == {}
    assert refusals(cron_expr="*/10 * * * * *", jitter_seconds=5.0, timeout_seconds=30.0, catch_up="all") == {}


def test_what_a_program_runs_needs_no_task(django_project):
    from django.test import override_settings

    options = {"EXECUTOR": "command", "COMMANDS": {"media.*": ["/opt/run"]}}
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": options}}):
        assert refusals(task_path="media.resize", args=[1, 2, 3]) == {}
        assert list(refusals(task_path="video.resize")) == ["task_path"]


def test_a_renamed_task_is_found(django_project):
    from django.test import override_settings

    options = {"TASK_ALIASES": {"tests.django.tasks.plus": "tests.django.tasks.add"}}
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": options}}):
        assert refusals(task_path="tests.django.tasks.plus") == {}


def test_the_time_zone_is_djangos_unless_it_is_said(django_project):
    from django.test import override_settings

    with override_settings(TIME_ZONE="Asia/Tokyo"):
        assert job().time_zone == "Asia/Tokyo"


def test_a_saved_one_has_its_next_moments_and_the_hash_of_its_runs(db):
    saved = job()
    saved.save()
    assert len(saved.upcoming) == 50
    assert saved.next_run_at == saved.upcoming[0]
    assert saved.spec_hash == make_spec("tests.django.tasks.add", [1], {}).spec_hash


def test_saving_leaves_alone_what_schedulers_have_written_meanwhile(db, pg):
    saved = job(cron_expr="* * * * * *")
    saved.save()
    pg.execute("UPDATE periodic_tasks SET upcoming = upcoming[3:], last_run_id = 7")
    left = pg.execute("SELECT upcoming FROM periodic_tasks").fetchone()
    saved.description = "new"
    saved.save()
    assert pg.execute("SELECT upcoming FROM periodic_tasks").fetchone() == left
    assert (saved.last_run_id, saved.description) == (7, "new")
