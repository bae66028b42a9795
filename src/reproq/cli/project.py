"""Where a command finds its configuration and its database: file, Django project, environment, flags, in this order.

The engine knows no Django: what a Django project says comes through the entry point group `reproq.project`.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import click

from reproq.config import KNOBS, Config, Knob, Source, duration, from_environment, load
from reproq.errors import ConfigurationError
from reproq.store.db import address, opened
from reproq.store.workers import installation

CONFIG_FILE: Final = "reproq.toml"


@dataclass(frozen=True, slots=True)
class Project:
    """What a project brings: its settings, its database, what the template calls to import it,
    what a cold interpreter runs by `-m`, and the folders to import it from."""

    source: Source
    dsn: str
    setup: str
    module: str = ""
    path: tuple[str, ...] = ()


NO_PROJECT: Final = Project(Source("no project", {}), "", "")


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command which needs a database takes."""
    for name in ("backend", "dsn"):
        command = flag(name)(command)
    return click.option("--settings", metavar="MODULE", help="Django's settings module.")(command)


def flag(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flag of one knob; its help says default and environment name."""
    knob = KNOBS[name]
    notes = [f"env: {', '.join(knob.environment)}"]
    if default := default_text(name):
        notes.insert(0, f"default: {default}")
    help_text = f"{knob.help}  [{'; '.join(notes)}]"
    spelled = f"--{name.replace('_', '-')}"
    return click.option(
        spelled, name, default=None, metavar=name.upper(), help=help_text, shell_complete=_beginnings(knob)
    )


def _beginnings(knob: Knob) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """What a shell offers for a flag: its choices, by how they begin."""
    return lambda context, parameter, incomplete: [one for one in knob.choices if one.startswith(incomplete)]


def default_text(name: str) -> str:
    """The default of a knob as people write it; empty where there is none."""
    value = Config.__dataclass_fields__[name].default
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, float):
        return f"{value:g}s"
    return str(value) if value else ""


def seconds_of(name: str, text: str) -> float:
    """A duration given to an option. Raises click.UsageError, naming option and value."""
    try:
        return duration(text)
    except ValueError as error:
        raise click.UsageError(f"{name} = {text!r} {error}") from None


def concurrency_of(config: Config) -> int:
    """How many runs a worker of this configuration holds at once; 0 stands for the number of CPUs."""
    return config.concurrency or os.cpu_count() or 1


def find_project(backend: str, settings: str | None) -> Project:
    """The Django project around us, if there is one."""
    for entry in entry_points(group="reproq.project"):
        find: Callable[[str, str | None], Project | None] = entry.load()
        if (project := find(backend, settings)) is not None:
            return project
    return NO_PROJECT


def gather(flags: Mapping[str, Any], settings: str | None = None) -> tuple[list[Source], Project]:
    """Everything that sets a knob, later sources above earlier ones, and the project around us."""
    environment = from_environment(os.environ)
    given = Source("the command line", {name: value for name, value in flags.items() if value is not None})
    file = _file()
    chosen = (source.values.get("backend") for source in (given, environment, file))
    backend = str(next(filter(None, chosen), "default"))
    project = find_project(backend, settings)
    database = Source("the Django project's DATABASES", {"dsn": project.dsn} if project.dsn else {})
    return [file, database, project.source, environment, given], project


def configure(flags: Mapping[str, Any], settings: str | None = None) -> tuple[Config, Project]:
    """The effective configuration and the project. Raises ConfigurationError with every problem in one text."""
    sources, project = gather(flags, settings)
    config = load(*sources)
    if not config.dsn:
        raise ConfigurationError(
            "there is no database address: run this where manage.py is, set DJANGO_SETTINGS_MODULE, "
            "or give --dsn or DATABASE_URL (postgresql://user:password@host:5432/name)"
        )
    if project.dsn and config.dsn != project.dsn:
        _refuse_two_databases(config.dsn, project.dsn)
    return config, project


def _file() -> Source:
    path = Path(CONFIG_FILE)
    if not path.is_file():
        return Source(CONFIG_FILE, {})
    try:
        return Source(CONFIG_FILE, tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.resolve()} is not TOML: {error}") from None


def _refuse_two_databases(given: str, of_project: str) -> None:
    """Two addresses may lead to one database; what tells is the uuid drawn when its tables were made."""
    found = []
    for dsn in (given, of_project):
        with opened(dsn, "reproq") as database, database.transaction() as cursor:
            found.append(installation(cursor))
    if found[0] != found[1]:
        raise ConfigurationError(
            f"--dsn or DATABASE_URL leads to {address(given)} (installation {found[0]}), but the Django project uses "
            f"{address(of_project)} (installation {found[1]}); remove one of them or make them the same database"
        )
