"""What pg_cron should do for us, against what it does: the jobs to make, to change and to take away. Pure.

pg_cron never decides when something is due: its jobs call SQL functions that take what is due from `upcoming`. So a job
that comes twice, late, or beside a worker changes nothing (docs/why/pg-cron.md). Jobs of other names do not exist here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from reproq.schedule.pgcron_words import Cron, Scheduled, expressed, is_often, needs_seconds
from reproq.schedule.timing import CatchUp, Overlap

EVERY_MINUTE: Final = "* * * * *"
EVERY_FEW_SECONDS: Final = "5 seconds"
"""Half of what counts as on time (upcoming.ON_TIME), for pg_cron that knows seconds."""
PRUNE_AT: Final = "17 * * * *"
NAME_BYTES: Final = 63
"""cron.job.jobname is of type `name`: what is longer would be cut without a word."""
BY_US: Final = "leave it to workers or reproq beat"


class Layout(StrEnum):
    """`shared`: one job fires all. `each`: a job for each schedule, and no other. `mixed`: a job for each schedule that
    pg_cron can express, and the shared one for the rest and for what was missed."""

    SHARED = "shared"
    MIXED = "mixed"
    EACH = "each"


@dataclass(frozen=True, slots=True)
class Place:
    """Whose jobs these are: the installation, its database, and the quoted schema of its functions."""

    installation: str
    database: str
    schema: str

    @property
    def prefix(self) -> str:
        """What the names of our jobs begin with. A renamed database keeps its installation, so its jobs are found."""
        return f"reproq:{self.installation[:8]}:"

    @property
    def mark(self) -> str:
        """What our commands end with, so that their entries in cron.job_run_details outlive their jobs recognisably."""
        return f" /* {self.prefix[:-1]} */"

    def named(self, rest: str) -> str:
        """The name of a job, cut to what pg_cron keeps."""
        return f"{self.prefix}{rest}".encode()[:NAME_BYTES].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as it should be."""

    name: str
    schedule: str
    command: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is. One that is not `active` was switched off by somebody, and stays off."""

    jobid: int
    name: str
    schedule: str
    command: str
    database: str
    username: str
    active: bool = True


@dataclass(slots=True)
class Plan:
    """What to do, in this order: `remove`, then `change` and `add`. `late` and `refused` say of
    schedules, by name, what cannot be done in time, or at all, and the remedy."""

    add: list[Wanted] = field(default_factory=list)
    change: list[Wanted] = field(default_factory=list)
    remove: list[Job] = field(default_factory=list)
    keep: list[Job] = field(default_factory=list)
    late: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether everything is as it should be."""
        return not (self.add or self.change or self.remove)


def plan(
    layout: Layout, cron: Cron, place: Place, username: str, schedules: Iterable[Scheduled], jobs: Sequence[Job]
) -> Plan:
    """The difference between the jobs that this layout wants and the jobs that are there."""
    made = Plan()
    tasks = list(schedules)
    wanted = [_own(task, schedule, place) for task in tasks if (schedule := _own_schedule(layout, task, cron, made))]
    if layout is not Layout.EACH:
        for task in tasks:
            _judge_shared(task, cron, made)
        wanted.append(_shared(place, cron, tasks))
    wanted.append(_prune(place))
    _compare(made, {one.name: one for one in wanted}, place, username, jobs)
    return made


def layout_of(place: Place, jobs: Iterable[Job]) -> Layout | None:
    """The layout that these jobs are of; None where there are none."""
    names = {job.name.removeprefix(place.prefix) for job in jobs if job.name.startswith(place.prefix)}
    own = names - {"fire", "prune"}
    if not names:
        return None
    if own:
        return Layout.MIXED if "fire" in names else Layout.EACH
    return Layout.SHARED if "fire" in names else Layout.EACH


def _own_schedule(layout: Layout, task: Scheduled, cron: Cron, made: Plan) -> str:
    """The schedule of a job of its own, or empty: the shared job fires it, or it is refused."""
    if layout is Layout.SHARED:
        return ""
    schedule, reason = expressed(task, cron)
    if layout is Layout.EACH:
        if schedule and task.overlap is Overlap.QUEUE_ONE:
            reason = "a tick that overlap queues would wait for the job's next time"
        elif schedule and task.catch_up is not CatchUp.NONE:
            reason = f"catch_up {task.catch_up} has nobody to make up for missed ticks"
        if reason:
            made.refused[task.name] = f"{reason}; install --layout mixed, or {BY_US}"
    return "" if reason else schedule


def _judge_shared(task: Scheduled, cron: Cron, made: Plan) -> None:
    """What a job of every minute does to a schedule that is due between two minutes."""
    if cron.has_seconds or not needs_seconds(task):
        return
    often = is_often(task)
    remedy = f"pg_cron 1.5 has seconds; or {BY_US}"
    if task.catch_up is CatchUp.NONE:
        made.refused[task.name] = (
            f"a job of every minute comes too late, and catch_up none drops what is late; {remedy}"
        )
    elif often and task.catch_up is CatchUp.LATEST:
        made.refused[task.name] = f"of the ticks of a minute, a job of every minute fires the latest only; {remedy}"
    else:
        made.late[task.name] = f"it fires up to a minute late; {remedy}"


def _own(task: Scheduled, schedule: str, place: Place) -> Wanted:
    literal = "'" + task.name.replace("'", "''") + "'"
    if "\\" in literal:
        literal = "E" + literal.replace("\\", "\\\\")
    command = f"SELECT {place.schema}.reproq_enqueue_periodic_task({literal}){place.mark}"
    return Wanted(place.named(f"{task.id}:{task.name}"), schedule, command)


def _shared(place: Place, cron: Cron, tasks: Iterable[Scheduled]) -> Wanted:
    is_fine = cron.has_seconds and any(map(needs_seconds, tasks))
    schedule = EVERY_FEW_SECONDS if is_fine else EVERY_MINUTE
    return Wanted(place.named("fire"), schedule, f"SELECT {place.schema}.reproq_fire_due(){place.mark}")


def _prune(place: Place) -> Wanted:
    mark = place.mark.strip()
    return Wanted(place.named("prune"), PRUNE_AT, f"SELECT {place.schema}.reproq_prune_pgcron('{mark}'){place.mark}")


def _compare(made: Plan, wanted: dict[str, Wanted], place: Place, username: str, jobs: Sequence[Job]) -> None:
    """cron.schedule changes a job of the same name, user and database, and leaves it off if it is; else it adds one."""
    left = dict(wanted)
    for job in sorted(jobs, key=lambda one: one.username != username):  # ours before those of another role
        if not job.name.startswith(place.prefix):
            continue
        want = left.get(job.name)
        if want is None or job.database != place.database:
            made.remove.append(job)
        elif (job.schedule, job.command) == (want.schedule, want.command):
            made.keep.append(job)
            del left[job.name]
        elif job.username == username:
            made.change.append(left.pop(job.name))
        else:
            made.remove.append(job)
    made.add = list(left.values())
