"""The same project with a second database: the backend `reports` is on the one that REPORTS_DSN names."""

import os

from psycopg import conninfo

from tests.acceptance.project.settings import *  # noqa: F403
from tests.settings import DATABASES, TASKS

DATABASES = DATABASES | {
    "reports": DATABASES["default"] | {"NAME": conninfo.conninfo_to_dict(os.environ["REPORTS_DSN"])["dbname"]}
}
DATABASE_ROUTERS = ["reproq_django.routers.ReproqRouter"]
TASKS = TASKS | {
    "reports": TASKS["default"] | {"OPTIONS": {"DATABASE": "reports", "RETENTION": "90d"}},
    "mail": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"},
}
