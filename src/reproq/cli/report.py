"""Where the report of a worker's end goes: to stdout for people, and into a file for machines."""

import json
import os
from pathlib import Path

import click

from reproq.errors import ConfigurationError
from reproq.telemetry.report import Report


def check_report_file(path: str) -> None:
    """Raise ConfigurationError where no report could be written: better now than after hours of work."""
    folder = Path(path).absolute().parent
    if path and (Path(path).is_dir() or not os.access(folder, os.W_OK | os.X_OK)):
        raise ConfigurationError(f"report_json = {path!r} cannot be written; name a file in a folder that can be")


def show_report(report: Report, path: str) -> None:
    """Print it, and write it as JSON where `path` says so. The file is whole or not there."""
    for line in report.lines():
        click.echo(line)
    if path:
        part = Path(f"{path}.part")
        part.write_text(json.dumps(report.facts(), indent=2) + "\n", "utf-8")
        part.replace(path)
