"""Which part of `task_runs` a list looks at. Never the whole table: what no index answers is asked of a window of ids.

A window is the newest 10,000 runs below an id (`?before=`), so that a page costs the same at a million rows, and older
ones are reached by moving the window. What waits or runs is found through its index, wherever it lies.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import BooleanField, F, Func, Q, QuerySet, Value
from django.db.models.functions import Left

from reproq.lifecycle import Status
from reproq.store.arrays import numbers
from reproq.store.results import MAX_RUN_ID, parse_result_id

WINDOW: Final = 10_000
FOUND: Final = 1_000
BEFORE: Final = "before"
_NUMBER: Final = re.compile(r"#?([0-9]{1,19})")
_HASH: Final = re.compile(r"[0-9a-f]{4,64}")
_INDEXED_HASH: Final = 12  # the replay index holds the first 12 characters
_FIRST: Final = {
    Status.READY.value: ({"status": Status.READY.value}, ("queue_name", "-priority", "due_at", "id"), "in claim order"),
    Status.SCHEDULED.value: ({"status": Status.SCHEDULED.value}, ("due_at",), "that fall due first"),
    Status.RUNNING.value: ({"worker_id__isnull": False}, ("worker_id",), "by worker"),
}
"""For each status that has an index: what finds it there, in which order, and how to say so."""


class IdIn(Func):
    """`id = ANY('{1,2,3}')`: one parameter, whatever the number of ids."""

    template = "(%(expressions)s::bigint[]))"
    arg_joiner = " = ANY("
    output_field = BooleanField()

    def __init__(self, ids: list[int]) -> None:
        super().__init__(F("id"), Value(numbers(sorted(ids))))


class WorkedOn(Func):
    """Whether a worker's id is among `worker_ids`."""

    template = "(%(expressions)s))"
    arg_joiner = " = ANY("
    output_field = BooleanField()

    def __init__(self, worker_id: str) -> None:
        super().__init__(Value(worker_id), F("worker_ids"))


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows that a list may show, a sentence that says so, and where the next older window begins."""

    condition: Any
    note: str = ""
    older: int | None = None


def scope_of(runs: QuerySet[Any], asked: Mapping[str, str], term: str) -> Scope:
    """The scope of a request; `runs` is the table's queryset on its database, `term` what was searched."""
    term = term.strip()[:200]
    if parsed := parse_result_id(term):
        return Scope(Q(pk=parsed[0], nonce=parsed[1]))
    if (number := _NUMBER.fullmatch(term)) and len(number[1]) < _INDEXED_HASH:
        return Scope(Q(pk=int(number[1])))
    if not term and asked.get("status") in _FIRST:
        return _first(runs, asked["status"])
    window = window_of(runs, before(asked))
    return _search(runs, term, window) if term else window


def before(asked: Mapping[str, str]) -> int | None:
    """The id that the window lies below, None for the newest."""
    match = _NUMBER.fullmatch(asked.get(BEFORE, ""))
    return min(int(match[1]), MAX_RUN_ID) if match else None


def window_of(runs: QuerySet[Any], below: int | None = None) -> Scope:
    """The newest 10,000 runs below an id."""
    limits = Q(
        id__lt=MAX_RUN_ID if below is None else below
    )  # without statistics, a range of one side is a third of all
    last = list(runs.filter(limits).order_by("-id").values_list("id", flat=True)[WINDOW - 1 : WINDOW])
    where = "" if below is None else f" before run {below:,}"
    if not last:
        return Scope(limits, f"These are all runs{where}." if where else "")
    return Scope(limits & Q(id__gte=last[0]), f"This list looks at the newest {WINDOW:,} runs{where}.", last[0])


def _first(runs: QuerySet[Any], status: str) -> Scope:
    condition, order, words = _FIRST[status]
    ids = list(runs.filter(**condition).order_by(*order).values_list("id", flat=True)[:FOUND])
    note = f"This list looks at the first {FOUND:,} {status} runs {words}." if len(ids) == FOUND else ""
    return Scope(IdIn(ids), note)


def _search(runs: QuerySet[Any], term: str, window: Scope) -> Scope:
    words = Q(task_path__icontains=term) | Q(queue_name=term) | Q(WorkedOn(term))
    lists = [runs.filter(worker_id=term)]
    if _HASH.fullmatch(term):
        words |= Q(spec_hash__startswith=term)
        if len(term) >= _INDEXED_HASH:
            lists.append(_finished_with_hash(runs, term))
    if (number := _NUMBER.fullmatch(term)) and int(number[1]) <= MAX_RUN_ID:
        lists.append(runs.filter(pk=int(number[1])))
    found = set(runs.filter(window.condition).filter(words).order_by("-id").values_list("id", flat=True)[:FOUND])
    for one in lists:
        found.update(one.order_by().values_list("id", flat=True)[:FOUND])
    note = "Searched everywhere by id, result id, running worker and the first 12 characters or more of a spec hash."
    if window.older:
        note += f" Other words: {window.note[0].lower()}{window.note[1:]}"
    if len(found) >= FOUND:
        note += f" More than {FOUND:,} match; only some are shown."
    return Scope(IdIn(list(found)), note, window.older)


def _finished_with_hash(runs: QuerySet[Any], beginning: str) -> QuerySet[Any]:
    found = runs.alias(head=Left("spec_hash", _INDEXED_HASH)).filter(
        head=beginning[:_INDEXED_HASH], finished_at__isnull=False
    )
    return found.filter(spec_hash__startswith=beginning)
