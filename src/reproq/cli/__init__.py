"""The command line: one tree behind `reproq` and `manage.py reproq`. A file a command, loaded when it is called.

Other packages add commands by the entry point group `reproq.commands`: a mapping of names to `module:attribute`.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

import click

from reproq import __version__
from reproq.errors import ConfigurationError, ReproqError, RunNotFound
from reproq.service import settle_inherited_signals

OWN_COMMANDS: Final = {
    "cancel": "reproq.cli.cancel:cancel",
    "config": "reproq.cli.config:config",
    "doctor": "reproq.cli.doctor:doctor",
    "loadgen": "reproq.loadtest.loadgen:loadgen",
    "replay": "reproq.cli.replay:replay",
    "runs": "reproq.cli.logs:runs",
    "status": "reproq.cli.status:status",
    "verify": "reproq.cli.verify:verify",
    "version": "reproq.cli.version:version",
    "worker": "reproq.cli.worker:worker",
}
FAILED, USAGE, FOUND_SOMETHING, NOT_FOUND = 1, 2, 3, 4
"""Exit codes; 0 is done."""


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for, so that `reproq --help` stays quick."""

    def _paths(self) -> Mapping[str, str]:
        paths = dict(OWN_COMMANDS)
        for entry in entry_points(group="reproq.commands"):
            paths |= entry.load()
        return paths

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._paths())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        path = self._paths().get(cmd_name)
        if path is None:
            return None
        module, _, attribute = path.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


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
