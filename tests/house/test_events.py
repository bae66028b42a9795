"""What is emitted is in the catalogue of events, with the fields that it has there, and nothing else is in it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from reproq.telemetry.catalogue import CATALOGUE

SOURCE = Path(__file__).parents[2] / "src" / "reproq"


@dataclass(frozen=True)
class Emission:
    """One place that emits: its name, with `*` for what is only known then, and the fields that it names."""

    place: str
    pattern: str
    fields: tuple[str, ...]
    has_more: bool

    @property
    def names(self) -> list[str]:
        return [name for name in CATALOGUE if fnmatchcase(name, self.pattern)]

    def fits(self, name: str) -> bool:
        """Whether its fields are those of the catalogue, in that order; some, where others are only known then."""
        known = CATALOGUE[name].fields
        return (
            tuple(field for field in known if field in self.fields) == self.fields
            if self.has_more
            else known == self.fields
        )


def emissions() -> Iterator[Emission]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and (found := emission(f"{path.name}:{node.lineno}", node)):
                yield found


def emission(place: str, call: ast.Call) -> Emission | None:
    match call:
        case ast.Call(func=ast.Attribute(attr="emit"), args=[name]):
            given = [keyword.arg for keyword in call.keywords]
            return Emission(place, pattern(name), tuple(filter(None, given)), None in given)
        case ast.Call(func=ast.Name(id="Event"), args=[ast.Constant() as name, ast.Dict(keys=keys)]):
            fields = tuple(key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
            return Emission(place, pattern(name), fields, len(fields) < len(keys))
    return None


def pattern(name: ast.expr) -> str:
    match name:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts)
    return "*"


def test_every_event_that_is_emitted_is_in_the_catalogue_with_its_fields() -> None:
    found = list(emissions())
    assert len(found) > 25
    wrong = [f"{one.place}: {one.pattern} {' '.join(one.fields)}" for one in found if not any(map(one.fits, one.names))]
    assert not wrong, "src/reproq/telemetry/catalogue.py knows no such event:\n" + "\n".join(wrong)


def test_the_catalogue_holds_no_event_that_nobody_emits() -> None:
    found = list(emissions())
    unused = [name for name in CATALOGUE if not any(name in one.names and one.fits(name) for one in found)]
    assert not unused, "nobody emits it"


@pytest.mark.usefixtures("django_project")
def test_each_outcome_of_a_tick_is_an_event() -> None:
    from reproq_django.periodic_tasks import Tick

    assert {f"schedule.{outcome}" for outcome in Tick.Outcome.values} <= CATALOGUE.keys()


def test_an_event_that_lost_a_field_or_is_unknown_would_be_noticed() -> None:
    calls = ("t.emit('run.cancelled', id=1)", "t.emit('run.cancelled', task=1, id=1)", "t.emit('run.vanished', id=1)")
    for text in calls:
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        found = emission("here", call)
        assert found is not None
        assert not any(map(found.fits, found.names))
