"""The files of a deployment as they are shipped, parsed, and what all of them must agree with."""

from pathlib import Path
from typing import Any

import click
import yaml

from reproq.cli import reproq
from reproq.config import KNOBS, Config
from reproq.values import duration
from reproq.worker.drain import GIVE_UP_SECONDS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "examples" / "deploy"
PAGE = ROOT / "docs" / "how-to" / "deploy.md"
KNOB_VARIABLES = {variable for knob in KNOBS.values() for variable in knob.environment}
STOPPING_SECONDS = Config().drain_timeout + GIVE_UP_SECONDS
"""How long a worker may take to end after TERM, until the last end is stored or given up."""


def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    return parsed


def seconds(text: str) -> float:
    return duration(text)


def parse_command(argv: list[str]) -> tuple[click.Command, dict[str, Any]]:
    """The command of ours that `argv` calls, and its parsed options. Raises click.UsageError for what is unknown."""
    assert argv[0] == "reproq"
    command: click.Command = reproq
    context = click.Context(command, info_name="reproq", **command.context_settings)
    rest = argv[1:]
    while isinstance(command, click.Group):
        name, inner, rest = command.resolve_command(context, rest)
        assert inner is not None, argv
        command, context = inner, click.Context(inner, context, name)
    return command, command.make_context(context.info_name, list(rest), context.parent).params
