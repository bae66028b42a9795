"""Points Django's default connection at this test's database, and gives it back afterwards."""

import os
from collections.abc import Iterator

import pytest
from psycopg import conninfo

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")


@pytest.fixture(scope="session")
def django_project() -> None:
    """Django, set up once a process with tests.settings."""
    import django

    django.setup()


@pytest.fixture
def db(django_project: None, dsn: str) -> Iterator[str]:
    """Django's `default` connection leads to this test's own database; returns its address."""
    from django.db import connections

    parts = conninfo.conninfo_to_dict(dsn)
    connection = connections["default"]
    connection.close()
    before = dict(connection.settings_dict)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    connection.settings_dict.update({key: parts.pop(name, "") or "" for key, name in names.items()})
    connection.settings_dict["OPTIONS"] = {name: value for name, value in parts.items() if value is not None}
    yield dsn
    connections.close_all()
    connection.settings_dict.update(before)
