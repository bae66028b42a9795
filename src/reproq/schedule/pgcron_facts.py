"""Whether a server's pg_cron can be used from one of its databases, and what to run where it cannot. Pure."""

from dataclasses import dataclass
from typing import Final

from reproq.errors import MIGRATE
from reproq.schedule.pgcron_words import Cron

OLDEST: Final = (1, 3)
"""Jobs have names since this version."""


@dataclass(frozen=True, slots=True)
class PgCronFacts:
    """What a server says. Settings that this role may not read are None; `available` is the version that can be made,
    `created` the one that is made in this database, `functions_in` the quoted schema of our functions."""

    server_major: int
    database: str
    username: str
    sees_settings: bool
    available: str | None
    created: str | None
    preloaded: str | None
    cron_database: str | None
    cron_timezone: str | None
    may_use: bool
    functions_in: str | None

    @property
    def cron(self) -> Cron:
        """The pg_cron that is there, for the planner."""
        version = version_of(self.created or "0")
        if version < (1, 5):
            return Cron(version)
        return Cron(version, (self.cron_timezone or "GMT") if self.sees_settings else None)


def version_of(text: str) -> tuple[int, ...]:
    """`1.4-1` is (1, 4)."""
    return tuple(int(part) for part in text.split("-")[0].split(".") if part.isdigit())


def obstacle(facts: PgCronFacts) -> str:
    """Why pg_cron cannot be used, and what to run; empty where it can."""
    if facts.created is None:
        return _not_created(facts)
    if facts.sees_settings and not _is_loaded(facts):
        return f"pg_cron is not loaded by the server, so its jobs never run; {_load(facts)}"
    if facts.cron_database not in (None, facts.database):
        return _elsewhere(facts)
    if version_of(facts.created) < OLDEST:
        return f"pg_cron {facts.created} has no named jobs; as a superuser run: ALTER EXTENSION pg_cron UPDATE"
    if not facts.may_use:
        user = facts.username
        return f'the role {user} may not use pg_cron; as a superuser run: GRANT USAGE ON SCHEMA cron TO "{user}"'
    if facts.functions_in is None:
        return f"the tables of {facts.database} have no function reproq_fire_due; run: {MIGRATE}"
    return ""


def _not_created(facts: PgCronFacts) -> str:
    if facts.available is None:
        package = f"postgresql-{facts.server_major}-cron"
        return f"pg_cron is not installed on the server; run there: apt-get install {package}, then {_load(facts)}"
    if not facts.sees_settings:
        return (
            f"the database {facts.database} has no extension pg_cron; as a superuser run CREATE EXTENSION pg_cron "
            f"there, which says what is missing if {_settings(facts)} are not set"
        )
    if not _is_loaded(facts):
        return f"pg_cron is not loaded by the server; {_load(facts)}"
    if facts.cron_database != facts.database:
        return _elsewhere(facts)
    return f"the database {facts.database} has no extension pg_cron; as a superuser run there: CREATE EXTENSION pg_cron"


def _is_loaded(facts: PgCronFacts) -> bool:
    return "pg_cron" in [one.strip().strip('"') for one in (facts.preloaded or "").split(",")]


def _settings(facts: PgCronFacts) -> str:
    others = [one for one in (facts.preloaded or "").split(",") if one.strip() and "pg_cron" not in one]
    libraries = ",".join([*(one.strip() for one in others), "pg_cron"])
    return f"shared_preload_libraries = '{libraries}' and cron.database_name = '{facts.database}'"


def _load(facts: PgCronFacts) -> str:
    return f"write {_settings(facts)} into postgresql.conf, and restart the server"


def _elsewhere(facts: PgCronFacts) -> str:
    return (
        f"pg_cron works in the database {facts.cron_database}, not in {facts.database}; write cron.database_name = "
        f"'{facts.database}' into postgresql.conf and restart the server, or as a superuser run in "
        f"{facts.cron_database}: SELECT cron.schedule_in_database('reproq', '* * * * *', "
        f"'SELECT {facts.functions_in or 'public'}.reproq_fire_due()', '{facts.database}', '{facts.username}')"
    )
