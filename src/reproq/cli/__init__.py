"""The command line: one tree behind `reproq` and `manage.py reproq`. A file a command, loaded when it is called.

Other packages add commands by the entry point group `reproq.commands`: a mapping of names to `Listed`.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from reproq import __version__
from reproq.errors import (
    MIGRATE,
    AddressRefused,
    ConfigurationError,
    DatabaseUnavailable,
    NotMigrated,
    ReproqError,
    RunLocked,
    RunNotFound,
)
from reproq.service import settle_inherited_signals


@dataclass(frozen=True, slots=True)
class Listed:
    """A command as `--help` lists it, before anything of it is imported: `module:attribute`, and its first sentence."""

    path: str
    help: str


OWN_COMMANDS: Final = {
    "beat": Listed("reproq.cli.beat:beat", "Fire schedules until TERM or INT."),
    "cancel": Listed("reproq.cli.cancel:cancel", "Cancel a run; say how it really ended."),
    "completion": Listed("reproq.cli.completion:completion", "Print a script that completes reproq in your shell."),
    "config": Listed("reproq.cli.config:config", "Show every effective value and where it comes from."),
    "doctor": Listed("reproq.cli.doctor:doctor", "Check database, migrations, versions, clocks and connections."),
    "loadgen": Listed("reproq.loadtest.loadgen:loadgen", "Enqueue made-up runs, no two of the same spec."),
    "pgcron": Listed("reproq.cli.pgcron:pgcron", "Have pg_cron fire schedules: install, status, uninstall."),
    "prune": Listed("reproq.cli.prune:prune_command", "Delete finished runs whose age is up, with their logs."),
    "replay": Listed("reproq.cli.replay:replay", "Enqueue a run again, by its ID or by its spec hash."),
    "runs": Listed("reproq.cli.logs:runs", "Look at runs."),
    "sql": Listed("reproq.cli.sql:sql_group", "Print SQL for an owner of the database to read and run."),
    "status": Listed("reproq.cli.status:status", "Show the queue and its workers."),
    "verify": Listed("reproq.cli.verify:verify", "Prove that nothing is lost and nothing finished twice."),
    "version": Listed("reproq.cli.version:version", "Show the versions of Reproq and of what it stands on."),
    "worker": Listed("reproq.cli.worker:worker", "Run tasks until TERM or INT."),
}
FAILED, USAGE, FOUND_SOMETHING, NOT_FOUND = 1, 2, 3, 4
"""Exit codes; 0 is done."""
ADDRESS_FROM: Final = "reproq.address_from"
"""In a context's meta: where the address of the database stands, once a command has found it."""


MIGRATE_BY: Final = "reproq.migrate_by"
"""In a context's meta: the command that makes the tables of the project that a command has found."""
AS_JSON: Final = "reproq.as_json"
"""In a context's meta: whether a command answers a program."""
UNANSWERED: Final = (ConfigurationError, DatabaseUnavailable, NotMigrated, RunLocked, RunNotFound)
"""What keeps a command from answering at all: it is raised before anything is printed."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called: `--help` and the completion of names stay quick."""

    def _listed(self) -> Mapping[str, Listed]:
        listed = dict(OWN_COMMANDS)
        for entry in entry_points(group="reproq.commands"):
            listed |= entry.load()
        return dict(sorted(listed.items()))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._listed())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        listed = self._listed().get(cmd_name)
        if listed is None:
            return None
        module, _, attribute = listed.path.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches  # only for who has slipped

            near = get_close_matches(args[0], self.list_commands(ctx), 1)
            if not near or args[0].startswith("-"):
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, listed.help) for name, listed in self._listed().items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UNANSWERED as error:
            told = with_place(error, ctx.meta)
            if ctx.meta.get(AS_JSON):
                click.echo(error_as_json(told))
            if told is error:
                raise
            raise told from error

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = [(name, listed.help) for name, listed in self._listed().items() if name.startswith(incomplete)]
        return [CompletionItem(name, help=text) for name, text in found] + click.Command.shell_complete(
            self, ctx, incomplete
        )


def with_place(error: ReproqError, meta: Mapping[str, Any]) -> ReproqError:
    """An error of the database says where its address stands, once that is known; what is missing in it, by which
    command it comes there."""
    if not isinstance(error, (AddressRefused, DatabaseUnavailable, NotMigrated)) or ADDRESS_FROM not in meta:
        return error
    text = str(error)
    if isinstance(error, NotMigrated):
        text = text.replace(MIGRATE, meta.get(MIGRATE_BY, MIGRATE))
    return type(error)(f"{text} (the address comes from {meta[ADDRESS_FROM]})")


def error_as_json(error: ReproqError) -> str:
    """What a program reads in place of the answer: one object on one line."""
    kind = type(error)
    return json.dumps({"error": str(error), "exception_class": f"{kind.__module__}.{kind.__qualname__}"})


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="reproq %(version)s")
def reproq() -> None:
    """Background tasks for Django on PostgreSQL alone. Every run in a process of its own, every run replayable."""


def main(arguments: list[str] | None = None, prog_name: str = "reproq") -> None:
    """Run a command and exit with its code."""
    sys.exit(run(arguments, prog_name))


def run(arguments: list[str] | None = None, prog_name: str = "reproq") -> int:
    """Run a command; returns 0 done, 1 failed, 2 usage, 3 a check found something, 4 not found."""
    settle_inherited_signals()
    try:
        result: Any = reproq.main(args=arguments, prog_name=prog_name, standalone_mode=False)
    except click.exceptions.Abort:
        return FAILED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ReproqError as error:
        click.echo(f"Error: {error}", err=True)
        match error:
            case ConfigurationError():
                return USAGE
            case RunNotFound():
                return NOT_FOUND
        return FAILED
    return result if isinstance(result, int) else 0
