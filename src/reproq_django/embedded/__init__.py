"""A PostgreSQL that comes as a wheel and needs no installing: for development, tests and a first try.

`database()` gives the entry for Django's DATABASES; the first connection through it starts the server. Whoever connects
by another way calls `ensure_running` before. Importing this, and loading settings that use it, starts nothing.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from reproq.errors import ConfigurationError

from .binaries import WHEEL_VERSIONS
from .launcher import USER
from .server import Server
from .sockets import PORT

ENGINE: Final = "reproq_django.embedded"
_LONGEST_NAME: Final = 63


def database(path: str | os.PathLike[str], *, name: str = "reproq", version: int = 18) -> dict[str, Any]:
    """An entry for DATABASES: `{"default": database(BASE_DIR / "var/postgres")}`.

    `path` is a folder that belongs to the database alone; the first connection makes it, and the database `name` in
    it. `version` is one of the wheel's (16, 18). Raises ConfigurationError for values that cannot work.
    """
    if version not in WHEEL_VERSIONS:
        raise ConfigurationError(
            f"version must be one of {', '.join(map(str, WHEEL_VERSIONS))} (those of the wheel), got {version!r}"
        )
    if not 0 < len(name.encode()) <= _LONGEST_NAME:
        raise ConfigurationError(f"the name of a database must have 1 to {_LONGEST_NAME} bytes, got {name!r}")
    path = Path(path).absolute()
    return {
        "ENGINE": ENGINE,
        "NAME": name,
        "USER": USER,
        "PASSWORD": "",
        "HOST": str(Server(path).socket_folder),
        "PORT": str(PORT),
        "OPTIONS": {},
        "EMBEDDED": {"path": str(path), "name": name, "version": version},
    }


def server_for(settings_dict: Mapping[str, Any]) -> Server:
    """The server behind a DATABASES entry made by `database()`."""
    try:
        embedded = settings_dict["EMBEDDED"]
        return Server(embedded["path"], version=embedded["version"])
    except KeyError as error:
        raise ConfigurationError(
            f'a DATABASES entry with ENGINE "{ENGINE}" lacks {error}; write it as reproq_django.embedded.database(path)'
        ) from error


def is_at_rest(settings_dict: Mapping[str, Any]) -> bool:
    """Whether this DATABASES entry is an embedded server that does not run: nobody is connected to it just now."""
    return settings_dict.get("ENGINE") == ENGINE and server_for(settings_dict).status() is None


def is_led_to(settings_dict: Mapping[str, Any], host: str) -> bool:
    """Whether libpq's `host` is the socket folder of the embedded server of this DATABASES entry, running or not."""
    if settings_dict.get("ENGINE") != ENGINE or not host.startswith("/"):
        return False
    return os.path.realpath(host) == os.path.realpath(server_for(settings_dict).socket_folder)


def ensure_running(settings_dict: Mapping[str, Any]) -> None:
    """Start the server of this DATABASES entry, and make its database, unless that is done; no-op for other engines.

    For front desks that connect with psycopg by themselves, and for workers before they become sub-reapers: a server
    started after that is their descendant. Any number of callers at once.
    """
    if settings_dict.get("ENGINE") != ENGINE:
        return
    from .databases import ensure_database  # psycopg is loaded for a connection, not for settings

    server = server_for(settings_dict)
    server.start()
    # Any other name (a test database, or none) is made and dropped by Django.
    if settings_dict["NAME"] == settings_dict["EMBEDDED"]["name"]:
        ensure_database(server, settings_dict["NAME"])
