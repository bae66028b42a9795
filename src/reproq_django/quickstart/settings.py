"""The settings of the quickstart: an embedded PostgreSQL, or the one that REPROQ_DEMO_DATABASE_URL names."""

import os
import tempfile
from pathlib import Path

from psycopg import conninfo

from reproq_django.embedded import database

SECRET_KEY = "the quickstart serves no pages"  # noqa: S105
USE_TZ = True
TIME_ZONE = "UTC"
INSTALLED_APPS = ["reproq_django", "reproq_django.quickstart"]
TASKS = {"default": {"BACKEND": "reproq_django.backend.ReproqBackend", "OPTIONS": {"RETENTION": "30d"}}}

if address := os.environ.get("REPROQ_DEMO_DATABASE_URL"):
    parts = conninfo.conninfo_to_dict(address)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    entry = {key: parts.pop(name, None) or "" for key, name in names.items()}
    DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", **entry, "OPTIONS": parts}}
else:
    folder = os.environ.get("REPROQ_DEMO_FOLDER") or Path(tempfile.gettempdir(), f"reproq-demo-of-{os.getuid()}")
    DATABASES = {"default": database(folder)}
