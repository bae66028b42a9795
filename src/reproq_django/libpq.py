"""What libpq would read from the environment when a task connects, put into Django's settings while it is still there.

Children forget the `PG*` variables once the project is imported (`reproq.child.forgetting`), and a project that names
its database by them must go on working.
"""

import os
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from psycopg import pq


def keep_environment() -> None:
    """Write what `PG*` variables say of each PostgreSQL connection into its OPTIONS, where those do not say it."""
    for alias in connections:
        try:
            connection = connections[alias]
        except ImproperlyConfigured:  # its own affair, until a task asks for it
            continue
        if connection.vendor == "postgresql":
            options = connection.settings_dict.setdefault("OPTIONS", {})
            options.update(missing_options(connection.settings_dict, os.environ))


def missing_options(settings: dict[str, Any], environ: "os._Environ[str] | dict[str, str]") -> dict[str, str]:
    """libpq's parameters that the environment gives and one connection's settings do not. Where a service is named, its
    file wins over the environment, so only the name of the service and the password are taken over."""
    named = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    given = {name for key, name in named.items() if settings.get(key)} | set(settings.get("OPTIONS") or {})
    found = {
        option.keyword.decode(): environ[option.envvar.decode()]
        for option in pq.Conninfo.get_defaults()
        if option.envvar and option.keyword != b"client_encoding" and environ.get(option.envvar.decode())
    }
    if "service" in given | found.keys():
        found = {name: value for name, value in found.items() if name in ("service", "password")}
    return {name: value for name, value in found.items() if name not in given}
