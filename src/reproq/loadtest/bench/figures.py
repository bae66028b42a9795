"""What a bench has measured: values, what each is compared with, its goals. Pure: no clock, no database, no print."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Of(StrEnum):
    """What a goal is about."""

    RATIO = "ratio"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound that a value or its ratio is to keep, from below or from above."""

    of: Of
    bound: float
    at_least: bool

    def is_kept_by(self, found: float) -> bool:
        return found >= self.bound if self.at_least else found <= self.bound

    def words(self, unit: str) -> str:
        """`ratio ≥ 0.75`, `≤ 3 ms`."""
        sign = "≥" if self.at_least else "≤"
        return f"ratio {sign} {self.bound:g}" if self.of is Of.RATIO else f"{sign} {self.bound:,.10g} {unit}".rstrip()


def at_least(bound: float, of: Of = Of.VALUE) -> Goal:
    """A goal that is kept by this and by more."""
    return Goal(of, bound, at_least=True)


def at_most(bound: float, of: Of = Of.VALUE) -> Goal:
    """A goal that is kept by this and by less."""
    return Goal(of, bound, at_least=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What 1,000 runs took from their first claim to their last end. None: it could not be seen from here.

    Everything but the CPU of worker and children is the whole server's, so nothing else may be at work there.
    """

    commits: float
    wal_bytes: float
    index_entries: float | None
    worker_cpu_seconds: float
    children_cpu_seconds: float
    """Template, children and whatever else the workers started."""
    server_cpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class Taking:
    """One measurement. `reference` is what was measured beside it, in the same unit."""

    value: float
    reference: float | None = None
    costs: Costs | None = None

    @property
    def ratio(self) -> float | None:
        """The value by its reference."""
        return self.value / self.reference if self.reference else None

    @property
    def rank(self) -> float:
        """What takings are ordered by: their ratio, since the machine's other work moves both sides of it."""
        return self.value if self.ratio is None else self.ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table: everything that was taken of it, `beside` the name of the reference."""

    measure: str
    name: str
    unit: str
    takings: tuple[Taking, ...]
    beside: str = ""
    goals: tuple[Goal, ...] = ()

    @property
    def middle(self) -> Taking:
        """The taking whose ratio is the median: value, reference and ratio of one and the same moment."""
        ranked = sorted(self.takings, key=lambda taking: taking.rank)
        return ranked[len(ranked) // 2]

    def is_kept(self, goal: Goal) -> bool | None:
        """Whether the median taking keeps a goal; None where there is nothing to compare."""
        found = self.middle.ratio if goal.of is Of.RATIO else self.middle.value
        return None if found is None else goal.is_kept_by(found)

    def facts(self) -> dict[str, Any]:
        """All of it for JSON."""
        middle = self.middle
        return {
            "measure": self.measure,
            "name": self.name,
            "unit": self.unit,
            "value": middle.value,
            "beside": self.beside,
            "reference": middle.reference,
            "ratio": middle.ratio,
            "goals": [
                asdict(goal) | {"words": goal.words(self.unit), "kept": self.is_kept(goal)} for goal in self.goals
            ],
            "costs": asdict(middle.costs) if middle.costs else None,
            "takings": [{"value": one.value, "reference": one.reference, "ratio": one.ratio} for one in self.takings],
        }


def too_few(count: int, enough: int) -> str:
    """What is said of a size that no goal of speed is for, empty where there are enough."""
    return f" (too few for a goal of speed: those are for {enough:,} and more)" if count < enough else ""


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed, by rank; nothing is made up between two values."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]
