"""`reproq doctor`: can this project work with this database? One line a question, with the remedy for every no."""

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed
from typing import Any, Final

import click
import psycopg

from reproq import __version__
from reproq.cli import ADDRESS_FROM, FOUND_SOMETHING
from reproq.cli.listen_address import REMEDY as ANOTHER_DATABASE
from reproq.cli.listen_address import two_databases
from reproq.cli.one_database import Place, refuse_two_databases
from reproq.cli.pgcron import last_of
from reproq.cli.project import NO_PROJECT, Project, concurrency_of, configure, database_options
from reproq.cli.short_lease import margin_here
from reproq.cli.show import as_json_text, console, json_option, unseen
from reproq.config import Config
from reproq.errors import (
    MIGRATE,
    AddressRefused,
    DatabaseUnavailable,
    MissingGrant,
    NotMigrated,
    NotPostgreSQL,
    ReproqError,
)
from reproq.scheduler.pgcron import fires_alone, our_jobs, trouble
from reproq.store.db import Database, address, opened
from reproq.store.insight import list_workers
from reproq.store.periodic import ScheduleHealth, health
from reproq.store.pgcron import JobLine
from reproq.store.poolers import is_pooled, mismatch
from reproq.store.server import ServerFacts, listen_works, server_facts, whereabouts
from reproq.store.unreachable import is_standby, reason
from reproq.store.workers import installation

OLDEST_SERVER: Final = 140_000
MAX_SKEW_SECONDS: Final = 2.0
LISTEN_PATIENCE_SECONDS: Final = 2.0
UNREACHED: Final = (DatabaseUnavailable, AddressRefused)
LANES: Final = 2
"""Connections of a worker, beside the one on which it listens."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. `remedy` says what to do, where `ok` is false; or where it is an advice, that nobody need take."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    is_advice: bool = False


@click.command()
@database_options
@json_option()
def doctor(settings: str | None, as_json: bool, **flags: Any) -> int:
    """Check database, migrations, versions, clocks and connections. Exits with 3 when something is wrong; what is
    marked ! is an advice."""
    findings = list(find(flags, settings))
    if as_json:
        click.echo(as_json_text([asdict(finding) for finding in findings]))
    else:
        out = console()
        for finding in findings:
            mark = "!" if finding.is_advice else "✓" if finding.ok else "✗"
            out.print(f"{mark} {finding.name:12} {finding.detail}", soft_wrap=True)
            if finding.is_advice or not finding.ok:
                out.print(f"  {'':12} -> {finding.remedy}", soft_wrap=True)
    return 0 if all(finding.ok for finding in findings) else FOUND_SOMETHING


def find(flags: dict[str, Any], settings: str | None) -> Iterator[Finding]:
    """All the answers. What only a person can mend in the settings is refused, as by every command."""
    compared: list[Finding] = []

    def compare(given: Place, of_project: Place) -> None:
        try:
            refuse_two_databases(given, of_project)
        except UNREACHED as error:
            compared.append(away(error))
        except MissingGrant as error:
            compared.append(refused("rights", error))

    yield from versions()
    try:
        config, project = configure(flags, settings, compare)
    except NotPostgreSQL as error:
        yield refused("database", error)
    except DatabaseUnavailable as error:  # one of the project's own that does not start
        yield away(error)
    else:
        yield from settings_of(project)
        yield lease_kept(config)
        is_away = any(one.name == "database" for one in compared)
        yield from compared if is_away else dict.fromkeys([*examine(config, project), *compared])


def versions() -> Iterator[Finding]:
    """What runs here."""
    python = ".".join(map(str, sys.version_info[:3]))
    detail = f"reproq {__version__}, Python {python}, Django {installed('django')}, psycopg {installed('psycopg')}"
    yield Finding("versions", True, detail)


def settings_of(project: Project) -> Iterator[Finding]:
    """What the project says of its own settings."""
    if project is NO_PROJECT:
        return
    found = project.faults()
    yield from (Finding("settings", False, fault.text, fault.remedy) for fault in found)
    if not found:
        yield Finding("settings", True, "Django's system checks find nothing wrong with Reproq's part")


def lease_kept(config: Config) -> Finding:
    """Whether a worker that is configured so keeps its leases where one connection is lost: a short one is a choice."""
    margin = margin_here(config)
    return Finding("lease", True, str(margin), margin.remedy, is_advice=margin.is_short)


def examine(config: Config, project: Project = NO_PROJECT) -> Iterator[Finding]:
    """What the database says; ends with the first answer that makes the others pointless."""
    where = address(config.dsn)
    try:
        with opened(config.dsn, "reproq doctor") as database:
            with database.transaction() as cursor:
                facts = server_facts(cursor)
            yield Finding("database", True, f"{where}, PostgreSQL {facts.version}")
            yield from judge(facts, config)
            if fault := mismatch(config.pooler, is_pooled(database.connected()), where):
                told, _, remedy = fault.partition("; ")
                yield Finding("pooler", False, told, remedy)
            yield listening(database, config)
            yield (tables := migrated(database, project.migrate or MIGRATE))
            if tables.ok:
                with database.transaction() as cursor:
                    jobs = our_jobs(cursor)
                yield fired(database, config, jobs)
                yield from able_to_run(project)
                yield from by_pg_cron(jobs)
    except UNREACHED as error:
        yield away(error)
    except MissingGrant as error:
        yield refused("rights", error)


def away(error: ReproqError) -> Finding:
    """That there is no database to ask, and where its address stands."""
    context = click.get_current_context(silent=True)
    place = context.meta.get(ADDRESS_FROM) if context else None
    remark = f" (the address comes from {place})" if place else ""
    if isinstance(error, AddressRefused):
        told, _, remedy = str(error).rpartition("; ")
        return Finding("database", False, f"{told}{remark}", remedy)
    promote, start = (
        "promote the standby, or wait until the primary is back",
        "start the server, or correct the address",
    )
    return Finding("database", False, f"{error}{remark}", promote if is_standby(error) else start)


def refused(name: str, error: ReproqError) -> Finding:
    """An error whose text ends with the remedy: what cannot be asked because of it is left out."""
    told, _, remedy = str(error).partition("; ")
    return Finding(name, False, told, remedy)


def judge(facts: ServerFacts, config: Config) -> Iterator[Finding]:
    """What can be said of a server's own words."""
    ok = facts.version_number >= OLDEST_SERVER
    yield Finding("PostgreSQL", ok, f"version {facts.version}", "upgrade the server to PostgreSQL 14 or later")
    yield Finding("encoding", facts.encoding == "UTF8", facts.encoding, "use a database with ENCODING 'UTF8'")
    yield Finding("primary", not facts.is_standby, "a standby" if facts.is_standby else "writable", "name the primary")
    remedy = "set fsync and full_page_writes on; a crash may lose what was committed"
    yield Finding("durable", facts.is_durable, "fsync and full_page_writes", remedy)
    skew = round(facts.epoch_seconds - time.time(), 1) + 0.0  # which makes 0.0 of -0.0
    remedy = "synchronise the clocks; only displayed times depend on this host's, leases do not"
    yield Finding("clock", abs(skew) <= MAX_SKEW_SECONDS, f"the server is {skew:+.1f} s off this host", remedy)
    needed = LANES + (config.listen != "off") + concurrency_of(config)
    left = facts.connections_allowed - facts.connections_used
    detail = f"{left} of {facts.connections_allowed} are free, a worker and its runs may use {needed}"
    yield Finding("connections", left >= needed, detail, "raise max_connections or lower --concurrency")


def listening(database: Database, config: Config) -> Finding:
    """Whether a worker is woken, where it is to be."""
    looks = f"workers look every {config.poll_interval:g} s"
    if config.listen == "off":
        return Finding("LISTEN", True, f"listen = off: {looks}")
    if config.listen_dsn:
        return over_its_own_address(database, config, f"correct listen_dsn, or set listen = off: {looks} then")
    ok = listen_works(database, LISTEN_PATIENCE_SECONDS)
    remedy = (
        "a pooler in transaction mode delivers none: name an address of the server itself in listen_dsn, or set "
        f"listen = off: {looks} then"
    )
    return Finding("LISTEN", ok, "notifications arrive" if ok else "no notification arrived", remedy)


def over_its_own_address(database: Database, config: Config, remedy: str) -> Finding:
    """Whether a worker that listens at `listen_dsn` hears those who speak at the database's own address."""
    where, speaker = f"over listen_dsn, {address(config.listen_dsn)}", database.twin()
    try:
        with opened(config.listen_dsn, "reproq doctor") as ears:
            if fault := two_databases(ears.dsn, whereabouts(ears), database.dsn, whereabouts(database)):
                return Finding("LISTEN", False, fault, ANOTHER_DATABASE)
            ok = listen_works(ears, LISTEN_PATIENCE_SECONDS, speaker=speaker)
    except (ReproqError, psycopg.Error) as error:
        return Finding("LISTEN", False, f"listen_dsn: {reason(error)}", remedy)
    return Finding("LISTEN", ok, f"notifications arrive {where}" if ok else f"no notification arrived {where}", remedy)


def able_to_run(project: Project) -> Iterator[Finding]:
    """What keeps schedules from running, as the project's own role sees them: it may well be one that only enqueues."""
    try:
        yield from (Finding("schedules", False, one.text, one.remedy) for one in project.schedule_faults())
    except MissingGrant as error:
        yield Finding("schedules", True, f"whether each could run is unknown: {error}")


def fired(database: Database, config: Config, jobs: list[JobLine]) -> Finding:
    """Whether somebody fires the schedules, and lists their moments, without which pg_cron has nothing to fire."""
    with database.transaction() as cursor:
        workers = list_workers(cursor)
        alive = [one for one in workers if one.beats and one.unseen_seconds <= config.lease]
        found = health(cursor, has_beat=not fires_alone(jobs, workers, config.lease))
    if found.overdue:
        names = ", ".join(f"{name} {unseen(seconds)}" for name, seconds in found.overdue.items())
        remedy = "start a worker or reproq beat, or see its log"
        if jobs:
            remedy += "; pg_cron fires what they list (a worker with --no-beat, too), and lists nothing itself"
        return Finding("schedules", False, f"overdue: {names}", remedy)
    if found.at_fault:
        return Finding("schedules", False, f"{found.at_fault} cannot fire", "reproq schedules list says why")
    return Finding("schedules", *firing(found, len(alive), bool(jobs)))


def firing(found: ScheduleHealth, alive: int, by_pg_cron: bool) -> tuple[bool, str, str]:
    """Whether somebody fires what is on, how that stands, and what to do where nobody does."""
    if not (found.enabled or found.paused):
        return True, "there are none", ""
    detail = f"{found.enabled} on, {found.paused} paused"
    if not found.enabled:
        return True, detail, ""
    if not (alive or by_pg_cron):
        return False, f"{detail}, nobody fires them", "start a worker, or reproq beat, or: reproq pgcron install"
    who = [f"{alive} process{'es' if alive > 1 else ''}"] if alive else []
    who += ["pg_cron"] if by_pg_cron else []
    verb = "fires" if alive + by_pg_cron == 1 else "fire"
    return True, f"{detail}, {' and '.join(who)} {verb} them", ""


def by_pg_cron(jobs: list[JobLine]) -> Iterator[Finding]:
    """How pg_cron's jobs do, where there are any of ours."""
    for line in trouble(jobs):
        remedy = "see reproq pgcron status and the server's log; cron.use_background_workers = on lets pg_cron in"
        yield Finding("pg_cron", False, f"{line.job.name} {last_of(line)}", remedy)
    if jobs and not trouble(jobs):
        yield Finding("pg_cron", True, ", ".join(f"{line.job.name} {last_of(line)}" for line in jobs[:3]))


def migrated(database: Database, remedy: str = MIGRATE) -> Finding:
    """Whether our tables are there, and as new as this version needs."""
    try:
        with database.transaction() as cursor:
            return Finding("migrations", True, f"installation {installation(cursor)}")
    except NotMigrated as error:
        return Finding("migrations", False, str(error).replace(MIGRATE, remedy), remedy)
