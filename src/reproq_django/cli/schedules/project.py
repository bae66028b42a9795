"""The way into a project for every command about schedules: which database, and is it ready."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from reproq.cli import NOT_FOUND
from reproq.cli.project import configure, flag
from reproq.errors import ConfigurationError
from reproq.store.db import opened
from reproq.store.workers import installation
from reproq_django.imported import set_up
from reproq_django.project import choose_settings

if TYPE_CHECKING:
    from reproq_django.periodic_tasks import PeriodicTask


@dataclass(frozen=True, slots=True)
class Desk:
    """The `TASKS` alias that is served, the alias of its database, and the lease that its workers are to have."""

    backend: str
    alias: str
    lease_seconds: float

    def find(self, name: str) -> "PeriodicTask":
        """The schedule of a name. Raises NoSuchSchedule, with near ones."""
        from difflib import get_close_matches

        from reproq_django.periodic_tasks import PeriodicTask

        if (found := PeriodicTask.objects.using(self.alias).filter(name=name).first()) is not None:
            return found
        names = PeriodicTask.objects.using(self.alias).order_by("name").values_list("name", flat=True)[:1000]
        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]!r}?" if near else "reproq schedules list shows those that there are"
        raise NoSuchSchedule(f"there is no schedule {name!r}; {hint}")


class NoSuchSchedule(click.ClickException):
    """Nothing has this name."""

    exit_code = NOT_FOUND


def project_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options by which a command finds its project."""
    command = flag("backend")(command)
    return click.option("--settings", metavar="MODULE", help="Django's settings module.")(command)


def enter(backend: str | None, settings: str | None) -> Desk:
    """Set up the project and make sure that its database answers and has our tables."""
    if not choose_settings(settings):
        raise ConfigurationError("there is no Django project: run this where manage.py is, or give --settings")
    set_up()
    config, _ = configure({"backend": backend}, settings)
    with opened(config.dsn, "reproq schedules") as database, database.transaction() as cursor:
        installation(cursor)
    from reproq_django import conf

    return Desk(config.backend, conf.database_alias(config.backend), config.lease)
