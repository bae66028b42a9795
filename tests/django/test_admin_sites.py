"""The admin of a project with several databases: a site a database."""

import pytest
from django.test import override_settings

from tests.django import tasks
from tests.django.admin_site import ALL, page
from tests.django.test_admin_periodic import GOOD


@pytest.fixture
def two_sites(both):
    """One run in each database, and a site for each."""
    tasks.add.enqueue("of-default")
    tasks.echo.using(backend="reports").enqueue("of-reports")
    with override_settings(ROOT_URLCONF="tests.django.two_sites"):
        yield both


def test_each_site_shows_its_own_database(staff, two_sites):
    client = staff(*ALL)
    for path, shown, hidden in (("admin", "of-default", "of-reports"), ("reports", "of-reports", "of-default")):
        text = page(client, f"/{path}/reproq_django/taskrun/")
        assert shown in text
        assert hidden not in text
    assert "Reproq: reports" in text


def test_an_action_changes_its_own_database_and_the_log_names_it(staff, two_sites):
    from django.contrib.admin.models import LogEntry

    from reproq_django.models import TaskRun

    client = staff(*ALL)
    run = TaskRun.objects.using(two_sites).get()
    data = {"action": "cancel_runs", "_selected_action": [run.pk]}
    assert "1 cancelled" in client.post("/reports/reproq_django/taskrun/", data, follow=True).content.decode()
    assert [TaskRun.objects.using(alias).get().status for alias in ("default", two_sites)] == ["READY", "CANCELLED"]
    assert LogEntry.objects.get().get_change_message() == f"Cancelled in the database {two_sites}."
    client.post(f"/reports/reproq_django/taskrun/{run.pk}/delete/", {"post": "yes"})
    assert [TaskRun.objects.using(alias).count() for alias in ("default", two_sites)] == [1, 0]


def test_every_page_of_the_admin_works_without_our_tables_in_the_default_database(staff, apart):
    from reproq_django.models import PeriodicTask, TaskRun

    tasks.add.enqueue("argument")
    client = staff(*ALL, "view_worker", "view_periodictask", "add_periodictask", "delete_periodictask")
    run = TaskRun.objects.get()
    for path in ("taskrun/", f"taskrun/{run.pk}/change/", f"taskrun/{run.pk}/history/", "worker/", "periodictask/"):
        page(client, f"/admin/reproq_django/{path}")
    client.post("/admin/reproq_django/periodictask/add/", GOOD)
    job = PeriodicTask.objects.using(apart).get()
    client.post(f"/admin/reproq_django/periodictask/{job.pk}/delete/", {"post": "yes"})
    assert not PeriodicTask.objects.using(apart).exists()
