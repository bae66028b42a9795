"""`reproq version`."""

import json
import platform
from importlib.metadata import version as installed

import click

from reproq import __version__


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def version(as_json: bool) -> None:
    """Show the versions of Reproq and of what it stands on."""
    found = {"reproq": __version__, "python": platform.python_version()}
    found |= {name: installed(name) for name in ("django", "psycopg")}
    click.echo(json.dumps(found) if as_json else "  ".join(f"{name} {number}" for name, number in found.items()))
