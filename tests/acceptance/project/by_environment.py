"""The same project, whose settings take the database from DATABASE_URL, or leave all but its name to libpq's PG*."""

import os

from psycopg import conninfo

from tests.acceptance.project.settings import *  # noqa: F403

_address = conninfo.conninfo_to_dict(os.environ.get("DATABASE_URL", ""))
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _address.pop("dbname", os.environ.get("SHOP_DATABASE", "")),
        "OPTIONS": dict(_address),
    }
}
