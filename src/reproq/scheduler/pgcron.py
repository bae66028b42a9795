"""Brings pg_cron's jobs in line with the schedules: ask, plan, apply, in one transaction of the caller's."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from reproq.errors import PgCronRefused, PgCronUnusable
from reproq.schedule import pgcron as planner
from reproq.schedule.pgcron import Job, Layout, Place, Plan
from reproq.schedule.pgcron_facts import PgCronFacts, obstacle
from reproq.schedule.pgcron_words import Cron
from reproq.store import pgcron
from reproq.store.insight import WorkerLine
from reproq.store.pgcron import JobLine
from reproq.store.statements import Cursor
from reproq.store.workers import installation

STALE_SECONDS: Final = 150.0
"""A job of every minute that has not run for so long has missed two turns."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Pg_cron as it is found: whose jobs, how they ended, and what would bring them in line."""

    cron: Cron
    layout: Layout
    lines: list[JobLine]
    plan: Plan = field(default_factory=Plan)


def look(cursor: Cursor, layout: Layout | None = None) -> Looked:
    """What is there, and the plan for this layout, or for the one that is there. Changes nothing.

    Raises PgCronUnusable where pg_cron cannot be used, saying which and what to run.
    """
    found = pgcron.facts(cursor)
    place = _usable(cursor, found)
    lines = pgcron.job_lines(cursor, place)
    jobs = [line.job for line in lines]
    chosen = layout or planner.layout_of(place, jobs) or Layout.SHARED
    plan = planner.plan(chosen, found.cron, place, found.username, pgcron.schedules(cursor), jobs)
    return Looked(found.cron, chosen, lines, plan)


def install(
    cursor: Cursor, layout: Layout | None = None, *, accept_refused: bool = False, only_look: bool = False
) -> Looked:
    """Make the jobs what they should be. Raises PgCronUnusable, and PgCronRefused with the list of what pg_cron cannot
    fire as it is meant, unless that is accepted; then nothing is changed."""
    if not only_look:
        pgcron.lock(cursor)
    looked = look(cursor, layout)
    if looked.plan.refused and not accept_refused:
        lines = [f"  {name}: {reason}" for name, reason in sorted(looked.plan.refused.items())]
        raise PgCronRefused("pg_cron cannot fire these schedules as they are meant, so no job was changed:", lines)
    if not only_look:
        pgcron.apply(cursor, looked.plan)
    return looked


def uninstall(cursor: Cursor, *, only_look: bool = False) -> list[Job]:
    """Take all our jobs away that this role may see; which."""
    if not only_look:
        pgcron.lock(cursor)
    jobs = [line.job for line in pgcron.job_lines(cursor, _usable(cursor, pgcron.facts(cursor)))]
    if not only_look:
        pgcron.drop(cursor, jobs)
    return jobs


def our_jobs(cursor: Cursor) -> list[JobLine]:
    """Our jobs, for those who only want to know; none where pg_cron is not there or this role may not ask."""
    if not pgcron.is_present(cursor):
        return []
    found = pgcron.facts(cursor)
    return pgcron.job_lines(cursor, _place(cursor, found))


def fires_alone(lines: Iterable[JobLine], workers: Iterable[WorkerLine], lease_seconds: float) -> bool:
    """Whether a job of ours is active, and no worker or beat that fires schedules was seen within a lease."""
    is_seen = any(one.beats and one.unseen_seconds <= lease_seconds for one in workers)
    return not is_seen and any(line.job.active for line in lines)


def is_stale(line: JobLine) -> bool:
    """Whether the shared job has missed its turns."""
    return line.job.name.endswith(":fire") and line.ago_seconds is not None and line.ago_seconds > STALE_SECONDS


def trouble(lines: list[JobLine]) -> list[JobLine]:
    """The jobs that are on, and failed the last time or have missed their turns."""
    return [line for line in lines if line.job.active and (line.has_failed or is_stale(line))]


def _usable(cursor: Cursor, found: PgCronFacts) -> Place:
    if why := obstacle(found):
        raise PgCronUnusable(why)
    return _place(cursor, found)


def _place(cursor: Cursor, found: PgCronFacts) -> Place:
    return Place(installation(cursor), found.database, found.functions_in or "public")
