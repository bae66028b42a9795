"""What the tests of the admin share: staff with chosen permissions, rows in any status, and what a page asks."""

from typing import Any

import psycopg
import pytest

from tests.store.rows import insert, read

RUNS = "/admin/reproq_django/taskrun/"
ALL = ("view_taskrun", "replay_taskrun", "retry_taskrun", "cancel_taskrun", "delete_taskrun")


@pytest.fixture
def staff(db: str) -> Any:
    """Makes a client that is logged in as staff with these permissions of ours."""
    from django.contrib.auth.models import Permission, User
    from django.test import Client

    def make(*permissions: str, client: Any = None) -> Any:
        user = User.objects.create_user(f"staff-{User.objects.count()}", password="x", is_staff=True)
        mine = Permission.objects.filter(content_type__app_label="reproq_django", codename__in=permissions)
        assert len(mine) == len(permissions)
        user.user_permissions.set(mine)
        client = client or Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def run(pg: psycopg.Connection[Any]) -> Any:
    """Inserts one run in a status; `run.read(id)` reads it back."""

    def make(*arguments: Any, **columns: Any) -> int:
        with pg.cursor() as cursor:
            return insert(cursor, *arguments, **columns)

    def again(run_id: int) -> Any:
        with pg.cursor() as cursor:
            return read(cursor, run_id)

    make.read = again  # type: ignore[attr-defined]
    return make


def act(client: Any, action: str, *run_ids: int, **more: Any) -> str:
    """Take an action on selected runs; the page that follows."""
    data = {"action": action, "_selected_action": list(run_ids)} | more
    return client.post(RUNS, data, follow=True).content.decode()


def page(client: Any, path: str = RUNS, **asked: Any) -> str:
    answer = client.get(path, asked, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()
