"""What libpq would read from the environment goes into Django's settings, before the children forget it."""

import pytest

from reproq_django.libpq import missing_options

BARE = {"NAME": "shop", "USER": "", "PASSWORD": "", "HOST": "", "PORT": "", "OPTIONS": {}}
ENVIRONMENT = {
    "PGHOST": "db.example",
    "PGUSER": "shop",
    "PGPASSWORD": "secret",
    "PGSSLMODE": "verify-full",
    "PGDATABASE": "other",
    "PGCLIENTENCODING": "LATIN1",
    "PGTZ": "UTC",
    "HOME": "/",
}


@pytest.mark.usefixtures("django_project")
def test_a_database_that_is_named_by_variables_is_named_by_options() -> None:
    found = missing_options(BARE, ENVIRONMENT)
    assert found == {"host": "db.example", "user": "shop", "password": "secret", "sslmode": "verify-full"}


@pytest.mark.usefixtures("django_project")
def test_what_the_settings_say_wins() -> None:
    settings = BARE | {"HOST": "/run/postgresql", "OPTIONS": {"sslmode": "disable"}, "PASSWORD": "own"}
    assert missing_options(settings, ENVIRONMENT) == {"user": "shop"}


@pytest.mark.usefixtures("django_project")
def test_of_a_service_only_its_name_and_the_password_are_taken_over() -> None:
    found = missing_options(BARE, ENVIRONMENT | {"PGSERVICE": "shop"})
    assert found == {"service": "shop", "password": "secret"}
