"""The admin's page of periodic tasks: what it stores, and the reason it gives for all that it refuses."""

import re
from html import unescape

import pytest

from tests.django.admin_site import page

JOBS = "/admin/reproq_django/periodictask/"
ALLOWED = ("view_periodictask", "add_periodictask", "change_periodictask", "delete_periodictask")
GOOD = {
    "name": "nightly",
    "enabled": "on",
    "cron_expr": "30 1 * * *",
    "time_zone": "Europe/Berlin",
    "jitter_seconds": "0",
    "overlap": "allow",
    "catch_up": "latest",
    "catch_up_bound": "100",
    "backend": "default",
    "task_path": "tests.django.tasks.echo",
    "args": "[1, 1e16]",
    "kwargs": '{"right": "é"}',
    "queue_name": "default",
    "priority": "0",
    "max_attempts": "3",
    "on_lost_contact": "continue",
}


def save(client, path=f"{JOBS}add/", **changes):
    """The errors by field; none when it was saved."""
    answer = client.post(path, GOOD | changes)
    if answer.status_code == 302:
        return {}
    found = re.findall(r'<ul class="errorlist" id="id_(\w+)_error">(.*?)</ul>', answer.content.decode(), re.DOTALL)
    return {field: unescape(text) for field, text in found}


def only():
    from reproq_django.models import PeriodicTask

    return PeriodicTask.objects.get()


def test_a_periodic_task_is_made_and_its_arguments_come_back_as_they_were_typed(staff):
    client = staff(*ALLOWED)
    assert save(client) == {}
    job = only()
    assert (job.args, job.kwargs, job.time_zone, job.enabled) == ([1, 1e16], {"right": "é"}, "Europe/Berlin", True)
    text = page(client, f"{JOBS}{job.pk}/change/")
    assert "[1, 1e+16]" in text
    assert "{&quot;right&quot;: &quot;é&quot;}" in text
    assert "nightly" in page(client, JOBS)


def test_no_arguments_are_fine_and_so_are_six_fields(staff):
    assert save(staff(*ALLOWED), args="[]", kwargs="{}", cron_expr="*/5 * * * * *") == {}
    assert (only().args, only().kwargs) == ([], {})


REFUSED = [
    ("cron_expr", "", "required"),
    ("cron_expr", "* * * *", "has 4 fields"),
    ("cron_expr", "61 * * * *", "Bad minute"),
    ("cron_expr", "* 25 * * *", "Bad hour"),
    ("cron_expr", "70 * * * * *", "Bad second"),
    ("cron_expr", "* * * * x", "Bad day-of-week"),
    ("cron_expr", "0 0 31 2 *", "never fires"),
    ("time_zone", "Mars/Olympus", "is no time zone"),
    ("time_zone", "America", "is no time zone"),
    ("time_zone", "/etc/localtime", "is no time zone"),
    ("time_zone", "../UTC", "is no time zone"),
    ("task_path", "add", "module and a name"),
    ("task_path", "a..b", "module and a name"),
    ("task_path", "a.b()", "module and a name"),
    ("args", "", "required"),
    ("args", "{}", "args must be a list"),
    ("args", "null", "required"),
    ("args", "[1,", "not JSON"),
    ("args", "[NaN]", "NaN is no JSON"),
    ("args", "[1e999]", "args[0]"),
    ("args", f"[{'1' * 5000}]", "digits"),
    ("args", "[" * 100_000, "cannot be stored"),
    ("args", r'["\u0000"]', "args[0]"),
    ("kwargs", "[]", "kwargs must be a dict"),
    ("kwargs", r'{"a": "\ud800"}', "kwargs"),
    ("queue_name", "a,b", "commas"),
    ("queue_name", "*", "asterisks"),
    ("priority", "101", "less than or equal to 100"),
    ("priority", "-101", "greater than or equal to -100"),
    ("priority", "x", "whole number"),
    ("name", "", "required"),
    ("name", "a\0b", "Null characters"),
]


@pytest.mark.parametrize(("field", "text", "reason"), REFUSED)
def test_what_could_not_run_is_refused_at_its_field(staff, field, text, reason):
    from reproq_django.models import PeriodicTask

    errors = save(staff(*ALLOWED), **{field: text})
    assert list(errors) == [field]
    assert reason in errors[field]
    assert not PeriodicTask.objects.exists()


def test_what_was_typed_is_shown_again_next_to_its_error(staff):
    answer = staff(*ALLOWED).post(f"{JOBS}add/", GOOD | {"args": '["<b>",'})
    assert "[&quot;&lt;b&gt;&quot;," in answer.content.decode()


def test_a_name_is_given_once(staff):
    client = staff(*ALLOWED)
    assert save(client) == {}
    assert "exists already" in save(client)["name"]
    assert save(client, f"{JOBS}{only().pk}/change/", priority="5") == {}
    assert only().priority == 5


@pytest.mark.parametrize(
    ("changes", "hour"),
    [({"cron_expr": "30 5 * * *"}, "04:30"), ({"time_zone": "UTC"}, "01:30"), ({"priority": "9"}, "00:30")],
)
def test_a_changed_timetable_has_its_next_tick_computed_anew(staff, pg, changes, hour):
    client = staff(*ALLOWED)
    save(client, start_at_0="2030-01-01", start_at_1="00:00:00")
    assert save(client, f"{JOBS}{only().pk}/change/", start_at_0="2030-01-01", start_at_1="00:00:00", **changes) == {}
    assert only().next_run_at.strftime("%Y-%m-%d %H:%M") == f"2030-01-01 {hour}"


def test_the_list_escapes_what_is_stored(staff, pg):
    xss = "<script>alert(1)</script>"
    pg.execute(
        "INSERT INTO periodic_tasks (name, cron_expr, time_zone, task_path, queue_name, args) "
        "VALUES (%(x)s, %(x)s, %(x)s, %(x)s, %(x)s, json_build_array(%(x)s::text))",
        {"x": xss},
    )
    client = staff(*ALLOWED)
    for path in (JOBS, f"{JOBS}{only().pk}/change/", f"{JOBS}{only().pk}/delete/"):
        assert "<script>alert" not in page(client, path)


def test_without_the_permission_nothing_is_stored(staff):
    from reproq_django.models import PeriodicTask

    assert staff("view_periodictask").post(f"{JOBS}add/", GOOD).status_code == 403
    assert not PeriodicTask.objects.exists()


def test_a_periodic_task_is_stored_in_the_database_of_the_backend(staff, second):
    from django.test import override_settings

    from reproq_django.models import PeriodicTask
    from tests.django.conftest import OURS

    client = staff(*ALLOWED)
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": {"DATABASE": second}}}):
        assert save(client) == {}
        job = PeriodicTask.objects.using(second).get()
        assert "exists already" in save(client)["name"]
        assert save(client, f"{JOBS}{job.pk}/change/", priority="5") == {}
        assert client.post(f"{JOBS}{job.pk}/delete/", {"post": "yes"}).status_code == 302
        assert not PeriodicTask.objects.using(second).exists()
    assert not PeriodicTask.objects.exists()
