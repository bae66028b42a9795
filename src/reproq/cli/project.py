"""Where a command finds its configuration and its database: file, Django project, environment, flags, in this order.

The engine knows no Django: what a Django project says comes through the entry point group `reproq.project`.
"""

import os
import stat
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import click

from reproq.cli import MIGRATE_BY
from reproq.cli.one_database import (
    DJANGO_ADDRESS,
    Comparison,
    Place,
    refuse_one_at_rest,
    refuse_two_databases,
    say_where_from,
)
from reproq.cli.queues import outside, told
from reproq.config import KNOBS, Config, Knob, Source, from_environment, load, origins
from reproq.errors import AddressRefused, ConfigurationError
from reproq.store.addresses import holds_password
from reproq.store.db import connect_bounds
from reproq.values import SWITCHES, duration

CONFIG_FILE: Final = "reproq.toml"
LONGEST_SECONDS: Final = 36_500 * 86_400.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What a project finds wrong with its own settings, and what to do. A warning need not keep it from working."""

    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Project:
    """What a project brings: its settings, its database, what the template calls to import it (for one run in each
    child, or for many), what a cold interpreter runs by `-m`, and the folders to import it from; the queues that its
    tasks may be in (none: any), those of all its backends on this database, the command that makes its tables,
    what it finds wrong with itself, and with the schedules in its database, whether that is a server of the project's
    own which does not run, and why a task (by path, with positional arguments, as somebody names it) cannot be run."""

    source: Source
    dsn: str
    setup: str
    setup_for_many: str = ""
    module: str = ""
    path: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    queues_here: tuple[str, ...] = ()
    migrate: str = ""
    faults: Callable[[], list[Fault]] = list
    schedule_faults: Callable[[], list[Fault]] = list
    at_rest: bool = False
    task_fault: Callable[[str, Sequence[Any], str], str] = lambda path, args, asker: ""


NO_PROJECT: Final = Project(Source("no project", {}), "", "")


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command which needs a database takes."""
    for name in ("backend", "dsn"):
        command = flag(name)(command)
    return click.option("--settings", metavar="MODULE", help="Django's settings module.")(command)


def flag(name: str, spelling: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flag of one knob, or another spelling of it; its help says default and environment name."""
    knob = KNOBS[name]
    notes = [f"env: {', '.join(knob.environment)}"]
    if default := default_text(name):
        notes.insert(0, f"default: {default}")
    help_text = f"{knob.help}  [{'; '.join(notes)}]"
    spelled = spelling or f"--{name.replace('_', '-')}"
    if knob.choices == SWITCHES:
        return click.option(f"{spelled}/--no-{spelled.removeprefix('--')}", name, default=None, help=help_text)
    return click.option(
        spelled, name, default=None, metavar=name.upper(), help=help_text, shell_complete=_beginnings(knob)
    )


def spelling_of(name: str) -> str:
    """The flag of a knob as the command that runs spells it."""
    context = click.get_current_context(silent=True)
    spelled = {one.name: one.opts[0] for one in context.command.params} if context else {}
    return spelled.get(name) or f"--{name.replace('_', '-')}"


def _beginnings(knob: Knob) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """What a shell offers for a flag: its choices, by how they begin."""
    return lambda context, parameter, incomplete: [one for one in knob.choices if one.startswith(incomplete)]


def default_text(name: str) -> str:
    """The default of a knob as people write it; empty where there is none."""
    value = Config.__dataclass_fields__[name].default
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, float):
        return f"{value:g}s"
    return str(value) if value else ""


def seconds_of(name: str, text: str) -> float:
    """A duration given to an option, at most a hundred years. Raises click.UsageError, naming option and value."""
    try:
        seconds = duration(text)
    except ValueError as error:
        raise click.UsageError(f"{name} = {text!r} {error}") from None
    if seconds > LONGEST_SECONDS:
        raise click.UsageError(f"{name} = {text!r} is more than {LONGEST_SECONDS / 86_400:,.0f} days")
    return seconds


def concurrency_of(config: Config) -> int:
    """How many runs a worker of this configuration holds at once; 0 stands for the number of CPUs."""
    return config.concurrency or os.cpu_count() or 1


def find_project(backend: str, settings: str | None, starts: bool, given: str) -> Project:
    """The Django project around us, if there is one; `starts` its database first, where that is one of its own, unless
    the address that is `given` leads elsewhere."""
    for entry in entry_points(group="reproq.project"):
        find: Callable[[str, str | None, bool, str], Project | None] = entry.load()
        if (project := find(backend, settings, starts, given)) is not None:
            return project
    return NO_PROJECT


def gather(
    flags: Mapping[str, Any], settings: str | None = None, *, starts: bool = False
) -> tuple[list[Source], Project]:
    """Everything that sets a knob, later sources above earlier ones, and the project around us, whose database runs
    then if this `starts` it."""
    environment = from_environment(os.environ)
    _warn_of_misspelt_variables()
    values = {name: value for name, value in flags.items() if value is not None}
    _warn_of_secrets(values)
    given = Source("the command line", values, {name: spelling_of(name) for name in values})
    file = _file()
    chosen = (source.values.get("backend") for source in (given, environment, file))
    backend = str(next(filter(None, chosen), "default"))
    addresses = (source.values.get("dsn") for source in (given, environment))  # those that outdo a project's
    project = find_project(backend, settings, starts, str(next(filter(None, addresses), "")))
    database = Source(DJANGO_ADDRESS, {"dsn": project.dsn} if project.dsn else {})
    return [file, database, project.source, environment, given], project


def configure(
    flags: Mapping[str, Any],
    settings: str | None = None,
    compare: Comparison = refuse_two_databases,
    *,
    serves: bool = False,
    hears: Comparison | None = None,
) -> tuple[Config, Project]:
    """The effective configuration and the project. Raises ConfigurationError with every problem in one text.

    `compare` is asked where the address that counts is not the project's own, as the last of all but `hears`, which is
    asked where the address for LISTEN is another one. Who `serves` names queues that tasks of the project can be in."""
    sources, project = gather(flags, settings, starts=True)
    config = load(*sources)
    if not config.dsn:
        raise ConfigurationError(
            "there is no database address: run this where manage.py is, set DJANGO_SETTINGS_MODULE, "
            "or give --dsn or DATABASE_URL (postgresql://user:password@host:5432/name)"
        )
    places = origins(*sources)
    _refuse_listen_dsn(config, places["listen_dsn"])
    _refuse_unknown_queues(config, project, places["retention"])
    if serves:
        _refuse_queues_of_nobody(config, project, places["queues"])
    place, seconds = places["dsn"], config.database_timeout
    if project.dsn and config.dsn != project.dsn:
        refuse = refuse_one_at_rest if project.at_rest else compare
        refuse(Place(config.dsn, place, seconds), Place(project.dsn, DJANGO_ADDRESS, seconds))
    say_where_from(place)
    if (context := click.get_current_context(silent=True)) is not None and project.migrate:
        context.meta[MIGRATE_BY] = project.migrate
    if hears and config.listen_dsn and config.listen != "off":
        hears(Place(config.listen_dsn, places["listen_dsn"], seconds), Place(config.dsn, place, seconds))
    return config, project


def _refuse_listen_dsn(config: Config, place: str) -> None:
    """Where nobody listens, too: a slip of the hand would wait there for the day on which somebody does."""
    if not config.listen_dsn:
        return
    try:
        connect_bounds(config.listen_dsn, os.environ)
    except AddressRefused as error:
        raise ConfigurationError(f"{place}: listen_dsn cannot work: {error}") from None


def _refuse_unknown_queues(config: Config, project: Project, place: str) -> None:
    """A slip of the hand in a retention would delete too soon, or never."""
    for name in outside((name for name, _ in config.retention.queues), project.queues):
        raise ConfigurationError(f"{place}: retention names {told(name, project.queues)}")


def _refuse_queues_of_nobody(config: Config, project: Project, place: str) -> None:
    """A worker would wait there for ever, or end its burst as if all were done."""
    if found := outside(config.queues, project.queues_here):
        said = "the default of queues is" if place == "default" else f"{place}: queues names"
        lines = [f"{said} {told(name, project.queues_here)}" for name in found]
        remedy = "choose by --queues, or add it to QUEUES; for runs that are enqueued from SQL, say --any-queue"
        raise ConfigurationError("\n".join([*lines, remedy]))


def _warn_of_misspelt_variables() -> None:
    known = {name for knob in KNOBS.values() for name in knob.environment}
    for name in sorted(os.environ):
        if name.startswith("REPROQ_") and name not in known and (near := get_close_matches(name, known, 1, 0.85)):
            click.echo(f"WARNING: the environment variable {name} sets nothing; did you mean {near[0]}?", err=True)


def _warn_of_secrets(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name in KNOBS and KNOBS[name].secret and holds_password(str(value)):
            click.echo(
                f"WARNING: {spelling_of(name)} holds a password, and a command line can be read by every local "
                f"user; name the address in {KNOBS[name].environment[0]}",
                err=True,
            )


def _file() -> Source:
    path = Path(CONFIG_FILE)
    if not path.is_file():
        return Source(CONFIG_FILE, {})
    try:
        found = Source(CONFIG_FILE, tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.resolve()} is not TOML: {error}") from None
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRGRP | stat.S_IROTH) and holds_password(str(found.values.get("dsn", ""))):
        click.echo(
            f"WARNING: {path.resolve()} holds a password in dsn and can be read by others (mode {mode:o}); "
            f"chmod 600 {CONFIG_FILE}, or name the address in DATABASE_URL",
            err=True,
        )
    return found
