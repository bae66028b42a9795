"""Django's database backend for an embedded server: Django's own for PostgreSQL, which starts the server first.

Only a real connection, or `dbshell`, starts it. Django imports this file by its name, from ENGINE.
"""

from collections.abc import Iterable
from typing import Any

from django.db.backends.postgresql import base, client
from django.utils.asyncio import async_unsafe

from . import ensure_running, server_for
from .binaries import wheel_binaries


class DatabaseClient(client.DatabaseClient):
    """`manage.py dbshell` with the psql of the wheel."""

    def runshell(self, parameters: Iterable[str]) -> None:
        """Start the server, then psql."""
        settings_dict = self.connection.settings_dict
        ensure_running(settings_dict)
        settings_dict["HOST"] = self.connection.get_connection_params()["host"]
        self.executable_name = str(wheel_binaries(settings_dict["EMBEDDED"]["version"]) / "psql")
        super().runshell(parameters)


class DatabaseWrapper(base.DatabaseWrapper):
    """Connects to the server of its DATABASES entry, and starts it when it is not running."""

    client_class = DatabaseClient

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, with the socket folder as it is now: another user may have made the data folder since."""
        params: dict[str, Any] = super().get_connection_params()
        return params | {"host": str(server_for(self.settings_dict).socket_folder)}

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Start the server if it is not running, then connect."""
        ensure_running(self.settings_dict)
        return super().get_new_connection(conn_params | {"host": self.get_connection_params()["host"]})
