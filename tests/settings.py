"""Django's settings for the tests. The database is set by `tests.plugins.databases`, never by DATABASE_URL."""

import os

from psycopg import conninfo

SECRET_KEY = "tests"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "reproq_django"]
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_address = conninfo.conninfo_to_dict(os.environ.get("REPROQ_TEST_DSN", "host=/nonexistent dbname=none"))
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _address.pop("dbname"),
        "USER": _address.pop("user", ""),
        "PASSWORD": _address.pop("password", ""),
        "HOST": _address.pop("host", ""),
        "PORT": _address.pop("port", ""),
        "OPTIONS": dict(_address),
    }
}
TASKS = {"default": {"BACKEND": "reproq_django.backend.ReproqBackend", "QUEUES": []}}
