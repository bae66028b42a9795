"""The admin's page of workers: who was seen when, and nothing to change."""

import re

import pytest

from tests.django.admin_site import page

WORKERS = "/admin/reproq_django/worker/"


@pytest.fixture
def workers(pg):
    """One that is alive, one that drains, one that was not seen for an hour, with markup in its texts."""
    pg.execute(
        "INSERT INTO reproq_workers (worker_id, hostname, queues, last_seen_at, draining) VALUES "
        "('w-alive', 'box', '{mail,default}', now(), false), ('w-drains', 'box', '{}', now(), true), "
        "('w-<b>', '<b>', '{<b>}', now() - interval '1 hour', false)"
    )


def test_the_list_says_who_was_seen_when_and_marks_the_stale_ones(staff, workers):
    text = page(staff("view_worker"), WORKERS)
    for shown in ("w-alive", "mail, default", "draining", "stale: no heartbeat"):
        assert shown in text
    assert len(re.findall(r"seen 1?\d s ago", text)) == 2
    assert "seen 60 min ago" in text
    assert text.count("stale:") == 1
    assert "<b>" not in text


@pytest.mark.parametrize(("lease", "stale"), [("30s", 1), ("2h", 0)])
def test_stale_is_longer_than_the_lease_of_the_settings(staff, workers, lease, stale):
    from django.test import override_settings

    from tests.django.conftest import OURS

    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": {"LEASE": lease}}}):
        assert page(staff("view_worker"), WORKERS).count("stale:") == stale


def test_settings_that_cannot_work_do_not_break_the_page(staff, workers):
    from django.test import override_settings

    from tests.django.conftest import OURS

    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": {"LEASE": "soon"}}}):
        assert page(staff("view_worker"), WORKERS).count("stale:") == 1


def test_a_worker_is_read_only(staff, workers, pg):
    client = staff("view_worker", "add_worker", "change_worker", "delete_worker")
    assert "alive" in page(client, f"{WORKERS}w-alive/change/")
    assert client.get(f"{WORKERS}add/").status_code == 403
    assert client.post(f"{WORKERS}w-alive/change/", {"hostname": "x"}).status_code == 403
    assert client.post(f"{WORKERS}w-alive/delete/", {"post": "yes"}).status_code == 403
    assert pg.execute("SELECT count(*) FROM reproq_workers WHERE hostname IN ('box', '<b>')").fetchone() == (3,)
    assert staff().get(WORKERS).status_code == 403
