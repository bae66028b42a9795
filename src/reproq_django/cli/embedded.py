"""`reproq embedded status` and `stop`: what became of the server that a connection started.

The server is the one of the folder given, or those of Django's DATABASES with our engine. Exit code 4 when none runs.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from reproq.cli import NOT_FOUND
from reproq.cli.show import json_option
from reproq_django.embedded import ENGINE, server_for
from reproq_django.embedded.server import Server
from reproq_django.project import choose_settings


@dataclass(frozen=True, slots=True)
class Report:
    """What we show of one server; without a pid it is not running."""

    path: str
    version: int | None
    pid: int | None
    ready: bool
    socket: str | None
    started_at: str | None
    size_bytes: int

    @classmethod
    def of(cls, server: Server) -> "Report":
        """Look at the server as it is now."""
        running = server.status()
        return cls(
            path=str(server.path),
            version=server.version(),
            pid=running.pid if running else None,
            ready=bool(running and running.ready),
            socket=str(running.socket_folder) if running else None,
            started_at=datetime.fromtimestamp(running.started_at, UTC).isoformat() if running else None,
            size_bytes=server.size_bytes(),
        )

    def as_json(self) -> dict[str, Any]:
        """The fields by name, and whether it is running."""
        return {"running": self.pid is not None} | {name: getattr(self, name) for name in self.__slots__}


@click.group()
def embedded() -> None:
    """The PostgreSQL that comes as a wheel: is it running, and stop it."""


@embedded.command()
@click.argument("path", required=False, type=click.Path(file_okay=False))
@click.option("--settings", metavar="MODULE", help="Django's settings module.")
@json_option("One JSON array on stdout.")
@click.pass_context
def status(context: click.Context, path: str | None, settings: str | None, as_json: bool) -> None:
    """Show version, data folder, process, socket and size. Exit code 4 when no server is running."""
    reports = [Report.of(server) for server in _servers(path, settings)]
    if as_json:
        click.echo(json.dumps([report.as_json() for report in reports]))
    else:
        for report in reports:
            _show(report)
    context.exit(0 if any(report.pid for report in reports) else NOT_FOUND)


@embedded.command()
@click.argument("path", required=False, type=click.Path(file_okay=False))
@click.option(
    "--mode",
    type=click.Choice(["smart", "fast", "immediate"]),
    default="fast",
    show_default=True,
    help="Wait for clients to leave, roll their transactions back, or crash and recover at the next start.",
)
@click.option("--settings", metavar="MODULE", help="Django's settings module.")
@json_option("One JSON array on stdout.")
@click.pass_context
def stop(context: click.Context, path: str | None, mode: Any, settings: str | None, as_json: bool) -> None:
    """End the server. The data stays, and the next connection starts it again. Exit code 4 when none was running."""
    stopped = {}
    for server in _servers(path, settings):
        stopped[str(server.path)] = server.stop(mode)
    if as_json:
        click.echo(json.dumps([{"path": path, "stopped": done} for path, done in stopped.items()]))
    else:
        for folder, done in stopped.items():
            Console().print(f"stopped: {folder}" if done else f"not running: {folder}", soft_wrap=True, markup=False)
    context.exit(0 if any(stopped.values()) else NOT_FOUND)


def _servers(path: str | None, settings_module: str | None) -> Sequence[Server]:
    if path is not None:
        return [Server(path)]
    choose_settings(settings_module)
    try:
        databases = django_settings.DATABASES
    except (ImproperlyConfigured, ImportError) as error:
        raise click.UsageError(
            f"which server? Django's settings could not be read ({error}); "
            "give the data folder as argument, or --settings, or set DJANGO_SETTINGS_MODULE"
        ) from error
    ours = [server_for(entry) for entry in databases.values() if entry.get("ENGINE") == ENGINE]
    if not ours:
        click.echo(f"no entry of DATABASES has the ENGINE {ENGINE}; give the data folder as argument", err=True)
    return list({server.path: server for server in ours}.values())


def _show(report: Report) -> None:
    state = f"running, pid {report.pid}" if report.ready else f"starting or stopping, pid {report.pid}"
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("server", state if report.pid else "not running")
    table.add_row("version", f"PostgreSQL {report.version}" if report.version else "no data yet")
    table.add_row("data folder", report.path)
    if report.pid:
        table.add_row("socket", report.socket)
        table.add_row("started", report.started_at)
    table.add_row("size", decimal(report.size_bytes))
    Console().print(table)
