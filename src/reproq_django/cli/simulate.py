"""`reproq simulate`: plays histories of faults on a scratch database, for those who develop Reproq.

It makes the database itself, on an embedded server that is gone afterwards, unless an empty one is named.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Final

import click

from reproq.cli import FOUND_SOMETHING
from reproq.loadtest.simulation import run
from reproq.loadtest.simulation.run import STEPS, Played, scratch, shrunk, told
from reproq.loadtest.simulation.session import Sessions

SETTINGS: Final = "reproq_django.quickstart.settings"
SERVER: Final = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
"""Nothing of this server is to be kept. Commits still wait or do not, as they say: that is what a crash is about."""


@click.command()
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The first history.")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many, from that seed on.")
@click.option("--steps", type=click.IntRange(1, 10_000), default=STEPS, show_default=True, help="Events of each.")
@click.option("--dsn", metavar="DSN", help="A migrated database without runs; by default one is made for the purpose.")
@click.option("--show", is_flag=True, help="Print every history, not only what is wrong.")
def simulate(seed: int, count: int, steps: int, dsn: str | None, show: bool) -> int:
    """Play histories of crashes, outages and races against the real worker and the real SQL; exit 3 on a violation.

    The same seed gives the same history, and the same digest, on every PostgreSQL.
    """
    if dsn is not None:
        return _play_all(dsn, range(seed, seed + count), steps, show)
    with made_for_this() as made:
        return _play_all(made, range(seed, seed + count), steps, show)


@contextmanager
def made_for_this() -> Iterator[str]:
    """The address of a migrated database on a server that ends here."""
    from reproq_django.embedded.server import Server

    with (
        TemporaryDirectory(prefix="reproq-simulate-", ignore_cleanup_errors=True) as folder,
        Server(os.path.join(folder, "server"), settings=SERVER).running(mode="immediate") as server,
    ):
        dsn = server.conninfo()
        # In a process of its own: under manage.py, Django already means another project and its database.
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": SETTINGS, "REPROQ_DEMO_DATABASE_URL": dsn}
        subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], check=True, env=environment)
        yield dsn


def _play_all(dsn: str, seeds: range, steps: int, show: bool) -> int:
    began, violations, first = time.monotonic(), 0, None
    with scratch(dsn) as sessions:
        for played in run.simulate(seeds, sessions, steps):
            if played.violation is not None:
                violations += 1
                first = first or played
                click.echo(f"seed {played.history.seed}: {played.violation}")
            elif show:
                click.echo("\n".join(told(played)))
        seconds = time.monotonic() - began
        click.echo(f"{len(seeds)} histories in {seconds:.1f} s, {len(seeds) / seconds:.1f}/s; violations: {violations}")
        if first is not None:
            _explain(first, sessions)
    return FOUND_SOMETHING if violations else 0


def _explain(played: Played, sessions: Sessions) -> None:
    click.echo(f"\nthe first of them, shrunk from {len(played.history.events)} events to what it needs:")
    click.echo("\n".join(told(shrunk(played, sessions))))
