"""`reproq config`: every effective value, where it comes from, and how to set it."""

import json
from typing import Any, Final

import click

from reproq.cli.project import database_options, gather
from reproq.cli.show import as_json_text, console, json_option
from reproq.cli.worker import worker_flags
from reproq.config import KNOBS, Config, load, origins
from reproq.retention import Retention
from reproq.store.db import address

MASK: Final = "(secret)"


@click.command()
@database_options
@worker_flags
@json_option()
def config(settings: str | None, as_json: bool, **flags: Any) -> None:
    """Show every effective value and where it comes from. Takes the flags of `worker`; secrets are masked."""
    sources, _ = gather(flags, settings)
    effective, found = load(*sources), origins(*sources)
    rows = [(name, shown(effective, name), found[name], ", ".join(KNOBS[name].environment)) for name in KNOBS]
    if as_json:
        click.echo(as_json_text({name: {"value": value, "from": source} for name, value, source, _ in rows}))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("setting", "value", "from", "environment", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console().print(table)


def shown(effective: Config, name: str) -> Any:
    """A value as people write it; of a secret only what is no secret."""
    value = getattr(effective, name)
    if KNOBS[name].secret:
        return f"{address(value)} {MASK}" if value else ""
    if KNOBS[name].unit == "s":
        return f"{value:g}s"
    if name == "commands":
        return json.dumps(dict(value), ensure_ascii=False) if value else ""
    if isinstance(value, Retention):
        return str(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(value) if isinstance(value, tuple) else value
