"""`@periodic`: a schedule said in code, above the task that it fires. It sets one attribute of the function, no more.

What is wrong with it is kept beside it and stops nothing: the other tasks of its module run. The system check E016,
`reproq doctor` and each sync report it. `reproq schedules sync` stores what is declared; see sync.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

from django.tasks import Task

from reproq.schedule.timing import MAX_BOUND, CatchUp, Overlap, Written, faults
from reproq.values import duration

ATTRIBUTE: Final = "reproq_periodic"
SOUND: Final = "@daily"
"""Stands for an expression that is none, so that the rest of its declaration can be judged."""

TEXT: Final = ((str,), "a text")
MOMENT: Final = ((datetime, type(None)), "a datetime")
TYPES: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "cron_expr": TEXT,
    "name": TEXT,
    "time_zone": ((str, type(None)), "the name of a time zone"),
    "args": ((list, tuple), "a list"),
    "kwargs": ((Mapping,), "a dict"),
    "queue_name": ((str, type(None)), "the name of a queue"),
    "priority": ((int, type(None)), "a whole number"),
    "overlap": TEXT,
    "catch_up": TEXT,
    "catch_up_bound": ((int,), "a whole number"),
    "start_at": MOMENT,
    "end_at": MOMENT,
    "description": ((str, type(None)), "a text"),
}
"""What each word of `@periodic` must be, and how a sentence calls that."""


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
    faults: tuple[tuple[str, str], ...] = ()
    """Of each field that is wrong, its name and a sentence; the field itself has its default."""


def periodic(cron_expr: str, *, jitter: Any = 0, **says: Any) -> Callable[[Any], Any]:
    """Enqueue the task below whenever the expression fires: 5 fields, 6 with seconds first, or `@daily` and others.

    Says besides: `name` (default: the task's path), `time_zone` (default: Django's), `args`, `kwargs`, `queue_name`,
    `priority`, `overlap` ("allow", "skip", "queue_one"), `catch_up` ("none", "latest", "all"), `catch_up_bound`,
    `jitter` (seconds, "30s", a timedelta), `start_at`, `end_at`, `description`. Several may stand above one task; each
    needs a name of its own then. Nothing fires before `reproq schedules sync`, which `migrate` does too.

    What could never fire is not stored; system check E016 names it. Raises TypeError where the expression is missing,
    and for words it does not know.
    """
    if isinstance(cron_expr, Task) or callable(cron_expr):
        raise TypeError('@periodic needs a cron expression: write @periodic("30 2 * * *") above the task')
    _refuse_unknown(says)
    declaration = _judged({"cron_expr": cron_expr} | says, jitter)

    def decorate(target: Any) -> Any:
        function = target.func if isinstance(target, Task) else target
        setattr(function, ATTRIBUTE, (declaration, *getattr(function, ATTRIBUTE, ())))
        return target

    return decorate


def _refuse_unknown(says: Mapping[str, Any]) -> None:
    known = sorted({one.name for one in fields(Declaration)} - {"cron_expr", "jitter_seconds", "faults"} | {"jitter"})
    for word in says:
        if word not in known:
            near = get_close_matches(word, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
            raise TypeError(f"@periodic has no keyword {word!r}; {hint}")


def _judged(says: dict[str, Any], jitter: Any) -> Declaration:
    """A declaration whose faulty fields have their defaults, and the faults."""
    found = dict(_wrong_types(says))
    sound = {name: value for name, value in says.items() if name not in found}
    try:
        sound["jitter_seconds"] = duration(jitter)
    except ValueError as error:
        found["jitter_seconds"] = f"jitter = {jitter!r} {error}; write seconds, or '30s'"
    one = Declaration(**{"cron_expr": SOUND} | sound)
    for name, text in _faults(one):
        found.setdefault(name, text)
    return replace(one, **{name: _default(name) for name in found}, faults=tuple(found.items()))


def _default(name: str) -> Any:
    if name == "cron_expr":
        return SOUND
    (one,) = (one for one in fields(Declaration) if one.name == name)
    return one.default if one.default_factory is MISSING else one.default_factory()


def _wrong_types(says: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in says.items():
        kinds, words = TYPES[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and int in kinds):
            yield name, f"{name} = {value!r} is not {words}; write one"
    for name in ("start_at", "end_at"):
        moment = says.get(name)
        if isinstance(moment, datetime) and moment.tzinfo is None:
            yield name, f"{name} = {moment!r} has no time zone; give it one"


def _faults(one: Declaration) -> Iterator[tuple[str, str]]:
    written = Written(
        name=one.name or "?",
        cron_expr=one.cron_expr,
        time_zone="UTC" if one.time_zone is None else one.time_zone,
        jitter_seconds=one.jitter_seconds,
        start_at=one.start_at,
        end_at=one.end_at,
    )
    for fault in faults(written):
        yield fault.field, str(fault)
    for name, policies in (("overlap", Overlap), ("catch_up", CatchUp)):
        if getattr(one, name) not in list(policies):
            yield name, f"{name} = {getattr(one, name)!r} is none of {', '.join(policies)}"
    if not 1 <= one.catch_up_bound <= MAX_BOUND:
        yield "catch_up_bound", f"catch_up_bound = {one.catch_up_bound} is outside 1 to {MAX_BOUND}"
