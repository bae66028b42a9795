"""How long finished runs are kept, by status and queue: the policy as people write it, and what follows from it.

Pure. What is deleted, and when, is decided in `reproq.store.retention` by the database's clock.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reproq.lifecycle import Status
from reproq.queue_names import queue_name_fault
from reproq.values import duration

SHORTEST_SECONDS: Final = 1.0
_DAY_SECONDS: Final = 86_400.0
LONGEST_SECONDS: Final = 36_500 * _DAY_SECONDS
FINISHED: Final = (Status.SUCCESSFUL, Status.FAILED, Status.CANCELLED)
OFF: Final = "off"
QUEUES: Final = "queues"
Ages = tuple[float | None, float | None, float | None]
"""Seconds after its end for each status of FINISHED; None keeps for ever."""

_UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_PAIRS: Final = re.compile(r"\s*[^\s=,{}\"]+\s*=[^=,]+(,[^=,]+=[^=,]+)*")
_SAMPLE: Final = 'off, 30d, "successful=30d,failed=90d", or a table {"successful": "30d", "queues": {"mail": "7d"}}'


@dataclass(frozen=True, slots=True)
class Retention:
    """A policy: the ages of all queues, and those of queues that are named."""

    ages: Ages
    queues: tuple[tuple[str, Ages], ...] = field(default=())

    @property
    def is_off(self) -> bool:
        """Whether everything is kept for ever."""
        return not rules(self)

    def age(self, status: Status, queue_name: str) -> float | None:
        """Seconds for which a run is kept after its end, None for ever."""
        return dict(self.queues).get(queue_name, self.ages)[FINISHED.index(status)]

    def __str__(self) -> str:
        if self.is_off:
            return OFF
        if not self.queues:
            return ",".join(f"{name}={age}" for name, age in _table(self.ages).items())
        return json.dumps(_table(self.ages) | {QUEUES: {name: _table(ages) for name, ages in self.queues}})


KEEP_ALL: Final = Retention((None, None, None))
DEFAULT: Final = Retention((30 * 86_400.0, 90 * 86_400.0, 90 * 86_400.0))


@dataclass(frozen=True, slots=True)
class Rule:
    """What goes at one age: runs of these statuses in every queue but those `named`, and those whose status and queue,
    as `STATUS queue`, are among the `pairs`."""

    age_seconds: float
    statuses: tuple[Status, ...]
    named: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()


def rules(policy: Retention) -> tuple[Rule, ...]:
    """One rule for each age of the policy, the shortest first; none for a policy that keeps everything."""
    named = tuple(name for name, _ in policy.queues)
    everywhere = (policy.ages, *(ages for _, ages in policy.queues))
    return tuple(
        Rule(
            age,
            tuple(status for status, kept in zip(FINISHED, policy.ages, strict=True) if kept == age),
            named,
            tuple(
                f"{status} {name}"
                for name, ages in policy.queues
                for status, kept in zip(FINISHED, ages, strict=True)
                if kept == age
            ),
        )
        for age in sorted({age for ages in everywhere for age in ages if age is not None})
    )


def narrowed(policy: Retention, statuses: tuple[Status, ...], queues: tuple[str, ...]) -> Retention:
    """The part of a policy that concerns these statuses and queues (none: all); it keeps everything else for ever."""

    def part(ages: Ages) -> Ages:
        first, second, third = (
            age if not statuses or status in statuses else None for status, age in zip(FINISHED, ages, strict=True)
        )
        return first, second, third

    if queues:
        own = dict(policy.queues)
        return Retention(KEEP_ALL.ages, tuple((name, part(own.get(name, policy.ages))) for name in queues))
    return Retention(part(policy.ages), tuple((name, part(ages)) for name, ages in policy.queues))


def retention(value: object) -> Retention:
    """A policy from `off`, one duration for all, `successful=30d,failed=90d`, a mapping, or its JSON text. What it does
    not say is as in the default; CANCELLED is kept as FAILED unless it is named. A duration needs its unit here."""
    if isinstance(value, Retention):
        return value
    table = _as_table(value)
    if not isinstance(table, Mapping):
        ages = (_age("", table),) * 3
        return Retention(ages)
    own = {name: part for name, part in table.items() if name != QUEUES}
    ages = _ages("", own, DEFAULT.ages)
    named = table.get(QUEUES, {})
    if not isinstance(named, Mapping):
        raise ValueError(f'has {QUEUES} = {named!r}, no table of queues; write {{"{QUEUES}": {{"mail": "7d"}}}}')
    return Retention(ages, tuple((_queue(name), _queue_ages(name, part, ages)) for name, part in named.items()))


def _queue_ages(queue: str, value: object, general: Ages) -> Ages:
    table = _as_table(value)
    where = f" for the queue {queue}"
    return _ages(where, table, general) if isinstance(table, Mapping) else (_age(where, table),) * 3


def _as_table(value: object) -> object:
    """A mapping where the value is one, or the text of one."""
    if not isinstance(value, str) or not (text := value.strip()):
        return value
    if text.startswith("{"):
        try:
            return json.loads(text)
        except ValueError:
            raise ValueError(f"is no JSON; write {_SAMPLE}") from None
    if _PAIRS.fullmatch(text):
        return {name.strip(): age.strip() for name, _, age in (part.partition("=") for part in text.split(","))}
    return text


def _ages(where: str, table: Mapping[object, object], general: Ages) -> Ages:
    names = [str(status).lower() for status in FINISHED]
    found: dict[str, float | None] = {}
    for key, value in table.items():
        name = str(key).lower()
        if name not in names:
            raise ValueError(f"has the status {key!r}{where}, which is none of {', '.join(names)}; correct it")
        found[name] = _age(f" for {name}{where}", value)
    successful, failed, cancelled = general
    failed = found.get("failed", failed)
    return (
        found.get("successful", successful),
        failed,
        found.get("cancelled", failed if "failed" in found else cancelled),
    )


def _age(where: str, value: object) -> float | None:
    if value is False or (isinstance(value, str) and value.strip().lower() == OFF):
        return None
    remedy = f"give 1s to 36500d, or {OFF} to keep them for ever"
    try:
        seconds = duration(value.strip().removeprefix("-") if isinstance(value, str) else value)
    except ValueError:
        raise ValueError(f"has {value!r}{where}, which is no duration such as 12h or 30d; {remedy}") from None
    is_negative = isinstance(value, str) and value.strip().startswith("-")
    if is_negative or not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise ValueError(f"has {value!r}{where}, which is outside 1s to 36500d; {remedy}")
    if remedy := unit_fault(value):
        raise ValueError(f"has {value!r}{where}, which {remedy}")
    return seconds


def unit_fault(value: object) -> str:
    """What is wrong with an age that is a bare number; empty where it is none.

    Elsewhere such a number is seconds. Here one who means days would lose nearly all of the history, for good.
    """
    text = str(value).strip()
    if not text[-1:].isdigit() or hasattr(value, "total_seconds"):
        return ""
    return f"has no unit; write {text}{'d' if float(text) * _DAY_SECONDS <= LONGEST_SECONDS else 's'}"


def _queue(name: object) -> str:
    if fault := queue_name_fault(name):
        raise ValueError(f"has the queue {name!r}, which {fault}; correct the name")
    return str(name)


def _table(ages: Ages) -> dict[str, str]:
    named = {str(status).lower(): shown(age) for status, age in zip(FINISHED, ages, strict=True)}
    if ages[1] == ages[2]:
        del named["cancelled"]  # as failed
    return named


def shown(age_seconds: float | None) -> str:
    """An age as people write it: `30d`, `36h`, `off`."""
    if age_seconds is None:
        return OFF
    unit, size = next(((unit, size) for unit, size in _UNITS if age_seconds % size == 0), ("s", 1))
    return f"{age_seconds / size:g}{unit}"
