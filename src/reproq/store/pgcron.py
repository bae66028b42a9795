"""pg_cron, as far as we ask it: what it is, which jobs it has of ours, and the two calls that change them.

Which jobs there should be is decided in `reproq.schedule.pgcron`; other people's jobs are never read nor touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from reproq.schedule.pgcron import Job, Place, Plan
from reproq.schedule.pgcron_facts import PgCronFacts
from reproq.schedule.pgcron_words import Scheduled
from reproq.schedule.timing import CatchUp, Overlap
from reproq.store.statements import Cursor, execute, fetch_all, fetch_one


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job and how it last ended; `ago_seconds` since it last began. None where pg_cron has not run it yet."""

    job: Job
    last_status: str | None
    last_message: str | None
    ago_seconds: float | None

    @property
    def has_failed(self) -> bool:
        return self.last_status == "failed"


def facts(cursor: Cursor) -> PgCronFacts:
    """Ask once."""
    row = fetch_one(cursor, "pgcron_facts", {})
    assert row is not None, "the statement gives one row"  # noqa: S101
    return PgCronFacts(*row)


def is_present(cursor: Cursor) -> bool:
    """Whether `job_lines` may be asked."""
    row = fetch_one(cursor, "pgcron_present", {})
    return bool(row and row[0])


def job_lines(cursor: Cursor, place: Place) -> list[JobLine]:
    """Our jobs, as far as this role may see them: its own, or for a superuser all."""
    rows = fetch_all(cursor, "pgcron_jobs", {"prefix": place.prefix, "now": None})
    return [JobLine(Job(*row[:7]), *row[7:]) for row in rows]


def schedules(cursor: Cursor) -> list[Scheduled]:
    """The periodic tasks that are on."""
    rows = fetch_all(cursor, "pgcron_schedules", {})
    return [
        Scheduled(task_id, name, cron_expr, time_zone, jitter, Overlap(overlap), CatchUp(catch_up))
        for task_id, name, cron_expr, time_zone, jitter, overlap, catch_up in rows
    ]


def lock(cursor: Cursor) -> None:
    """Wait until nobody else changes jobs; until the end of the transaction nobody else will."""
    execute(cursor, "pgcron_lock", {})


def apply(cursor: Cursor, plan: Plan) -> None:
    """Make the jobs what the plan says, in the caller's transaction."""
    drop(cursor, plan.remove)
    for want in (*plan.change, *plan.add):
        execute(cursor, "pgcron_put", {"name": want.name, "schedule": want.schedule, "command": want.command})


def drop(cursor: Cursor, jobs: Sequence[Job]) -> None:
    """Take jobs away."""
    for job in jobs:
        execute(cursor, "pgcron_drop", {"jobid": job.jobid})
