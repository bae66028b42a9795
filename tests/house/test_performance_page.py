"""The tables and charts of docs/performance.md say what the measured JSON beside them says."""

import xml.etree.ElementTree as ElementTree
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    loader = SourceFileLoader("performance_page", str(ROOT / "scripts" / "performance"))
    spec = spec_from_loader("performance_page", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_page_and_its_charts_are_what_was_measured(script: ModuleType) -> None:
    stale = [path.name for path, text in script.pages().items() if path.read_text("utf-8") != text]
    assert not stale, "run: python scripts/performance"


def test_a_chart_shows_each_value_its_reference_and_its_goal(script: ModuleType) -> None:
    bars = [script.Bar("mock <1>", 200.0, 400.0, 300.0), script.Bar("spawn", 4.0, None, None)]
    root = ElementTree.fromstring(script.chart("Drain", "runs/s", "ceiling", bars))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    widths = [float(one.get("width", 0)) for one in root.findall(f"{space}rect")[4:]]
    assert widths == [script.PLOT / 2, script.PLOT, pytest.approx(script.PLOT / 100, abs=0.1)]
    (goal,) = root.findall(f"{space}line")
    assert float(goal.get("x1", 0)) == pytest.approx(script.LABEL + script.PLOT * 3 / 4)
    assert [text.text for text in root.iter(f"{space}text")][-4:] == ["mock <1>", "200", "spawn", "4.00"]


def test_a_later_file_replaces_the_figures_of_an_earlier_one(script: ModuleType) -> None:
    old, other, new = (
        {"measure": "drain", "name": name, "value": value} for name, value in (("a", 1), ("b", 2), ("a", 3))
    )
    assert script.figures([{"figures": [old, other]}, {"figures": [new]}]) == [new, other]
