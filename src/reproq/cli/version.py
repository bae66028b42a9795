"""`reproq version`."""

import json
import platform
from importlib.metadata import version as installed

import click

from reproq import __version__
from reproq.cli.show import json_option


@click.command()
@json_option()
def version(as_json: bool) -> None:
    """Show the versions of Reproq and of what it stands on."""
    found = {"reproq": __version__, "python": platform.python_version()}
    found |= {name: installed(name) for name in ("django", "psycopg")}
    click.echo(json.dumps(found) if as_json else "  ".join(f"{name} {number}" for name, number in found.items()))
