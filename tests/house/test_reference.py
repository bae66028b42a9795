"""The reference pages say what the code says."""

import json
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def script() -> ModuleType:
    loader = SourceFileLoader("reference_pages", str(ROOT / "scripts" / "reference"))
    spec = spec_from_loader("reference_pages", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_reference_is_what_the_code_says(dsn: str) -> None:
    """Asked of a fresh interpreter: click keeps how a command spells its `--help` from whoever called it first."""
    program = "from tests.house.test_reference import script; import json, sys; " + (
        "json.dump({str(path): text for path, text in script().pages(sys.argv[1]).items()}, sys.stdout)"
    )
    said = subprocess.run([sys.executable, "-c", program, dsn], cwd=ROOT, capture_output=True, text=True, check=True)
    stale = [path for path, text in json.loads(said.stdout).items() if Path(path).read_text("utf-8") != text]
    assert not stale, "run: python scripts/reference"


def test_everything_in_the_tables_says_what_it_is_for(dsn: str) -> None:
    bare = [line for line in script().tables(dsn) if re.search(r"\bNone\b", line)]
    assert not bare, "say it in src/reproq_django/sql/comments.sql"
