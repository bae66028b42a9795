"""`@periodic`: a schedule said in code, above the task that it fires. It sets one attribute of the function, no more.

`reproq schedules sync` stores what all task modules of the installed apps declare; see sync.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.tasks import Task

from reproq.errors import InvalidSchedule
from reproq.schedule.timing import MAX_BOUND, CatchUp, Overlap, Written, faults
from reproq.values import duration

ATTRIBUTE: Final = "reproq_periodic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What one `@periodic` says. None leaves the say to the task, or to Django's TIME_ZONE; an empty name is the path
    of the task."""

    cron_expr: str
    name: str = ""
    time_zone: str | None = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    queue_name: str | None = None
    priority: int | None = None
    overlap: str = Overlap.ALLOW.value
    catch_up: str = CatchUp.LATEST.value
    catch_up_bound: int = 100
    jitter_seconds: float = 0.0
    start_at: datetime | None = None
    end_at: datetime | None = None
    description: str | None = None


def periodic(cron_expr: str, *, jitter: Any = 0, **says: Any) -> Callable[[Any], Any]:
    """Enqueue the task below whenever the expression fires: 5 fields, 6 with seconds first, or `@daily` and others.

    Says besides: `name` (default: the task's path), `time_zone` (default: Django's), `args`, `kwargs`, `queue_name`,
    `priority`, `overlap` ("allow", "skip", "queue_one"), `catch_up` ("none", "latest", "all"), `catch_up_bound`,
    `jitter` (seconds, "30s", a timedelta), `start_at`, `end_at`, `description`. Several may stand above one task; each
    needs a name of its own then. Nothing fires before `reproq schedules sync`, which `migrate` does too.

    Raises InvalidSchedule, naming the field, for what could never fire, and TypeError for words it does not know.
    """
    declaration = Declaration(cron_expr=cron_expr, jitter_seconds=_seconds(jitter), **says)
    _check(declaration)

    def decorate(target: Any) -> Any:
        function = target.func if isinstance(target, Task) else target
        setattr(function, ATTRIBUTE, (declaration, *getattr(function, ATTRIBUTE, ())))
        return target

    return decorate


def _seconds(jitter: Any) -> float:
    try:
        return duration(jitter)
    except ValueError as error:
        raise InvalidSchedule(f"jitter = {jitter!r} {error}", "jitter_seconds") from None


def _check(one: Declaration) -> None:
    written = Written(
        name=one.name or "?",
        cron_expr=one.cron_expr,
        time_zone=one.time_zone or "UTC",
        jitter_seconds=one.jitter_seconds,
        start_at=one.start_at,
        end_at=one.end_at,
    )
    for name in ("start_at", "end_at"):
        moment = getattr(one, name)
        if moment is not None and moment.tzinfo is None:
            raise InvalidSchedule(f"{name} = {moment!r} has no time zone; give it one", name)
    for fault in faults(written):
        raise fault
    for name, policies in (("overlap", Overlap), ("catch_up", CatchUp)):
        if getattr(one, name) not in list(policies):
            raise InvalidSchedule(f"{name} = {getattr(one, name)!r} is none of {', '.join(policies)}", name)
    if not 1 <= one.catch_up_bound <= MAX_BOUND:
        raise InvalidSchedule(f"catch_up_bound = {one.catch_up_bound} is outside 1 to {MAX_BOUND}", "catch_up_bound")
