"""The tables of chaos in docs/reliability.md say what the JSON beside them says: that every round has passed."""

import json
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reliability"


def test_the_page_is_what_was_found() -> None:
    loader = SourceFileLoader("reliability_page", str(ROOT / "scripts" / "reliability"))
    spec = spec_from_loader("reliability_page", loader)
    assert spec is not None
    script = module_from_spec(spec)
    loader.exec_module(script)
    assert script.page() == script.PAGE.read_text("utf-8"), "run: python scripts/reliability"


def test_what_the_page_shows_has_passed_and_had_enough_to_pass() -> None:
    rounds = json.loads((FOLDER / "chaos.json").read_text("utf-8"))["rounds"]
    assert not [played["seed"] for played in rounds if played["faults"]]
    assert min(played["rescues"] for played in rounds) >= 20
    assert min(played["lost_answers"] for played in rounds) >= 5
    assert min(played["restarts"] for played in rounds) >= 3
    stops = json.loads((FOLDER / "stops.json").read_text("utf-8"))["stops"]
    assert (stops["stops"], stops["late"], stops["faults"]) == (50, [], [])
