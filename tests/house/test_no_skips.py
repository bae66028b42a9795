"""The plugin that turns skips into failures under CI=true, run in a pytest of its own on a made-up file of tests."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

MADE_UP = """
import pytest
def test_passes(): pass
def test_skips(): pytest.skip("no PostgreSQL 15")
@pytest.mark.skipif(True, reason="no PostgreSQL 16")
def test_is_marked(): pass
def test_platform(): pytest.skip("not on this platform: pidfd")
@pytest.mark.xfail(reason="known")
def test_xfail(): assert False
"""
MISSING = "import pytest\npytest.importorskip('no_such_module_anywhere')\n"


def run(folder: Path, ci: str | None, *more: str) -> str:
    (folder / "test_made_up.py").write_text(MADE_UP)
    (folder / "test_missing.py").write_text(MISSING)
    (folder / "pytest.ini").write_text("[pytest]\n")
    kept = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    environment = {**kept, "PYTHONPATH": str(ROOT), **({"CI": ci} if ci else {})}
    command = [sys.executable, "-m", "pytest", "-p", "tests.plugins.no_skips", "-p", "no:cacheprovider", "-rA", *more]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


def test_a_skip_is_a_skip_elsewhere(tmp_path: Path) -> None:
    assert "1 passed, 4 skipped, 1 xfailed" in run(tmp_path, None)


# A skip by mark is found before the test begins, and a module's while it is collected: pytest calls those errors.
def test_a_skip_for_a_missing_part_fails_under_ci(tmp_path: Path) -> None:
    output = run(tmp_path, "true", "--continue-on-collection-errors")
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed, 2 errors" in output
    for reason in ("no PostgreSQL 15", "no PostgreSQL 16", "could not import 'no_such_module_anywhere'"):
        assert f"with CI=true a skip is a failure: {reason}" in output


def test_xdist_workers_tell_it_too(tmp_path: Path) -> None:
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed, 2 errors" in run(
        tmp_path, "true", "--continue-on-collection-errors", "-n", "1"
    )
