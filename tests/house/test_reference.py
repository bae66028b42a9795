"""The reference pages say what the code says."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_reference_is_what_the_code_says() -> None:
    loader = SourceFileLoader("reference_pages", str(ROOT / "scripts" / "reference"))
    spec = spec_from_loader("reference_pages", loader)
    assert spec is not None
    script = module_from_spec(spec)
    loader.exec_module(script)
    stale = [path.name for path, text in script.pages().items() if path.read_text("utf-8") != text]
    assert not stale, "run: scripts/reference"
