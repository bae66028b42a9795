"""`.ci/run` in a folder of its own, where `make` and the project's scripts are stand-ins: what it answers, and when."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAND_INS = {
    "scripts/find-python": "echo python",
    "scripts/venv": "echo .",
    "scripts/audit": "",
    "bin/python": 'exit "$AUDIT"',
    "bin/make": 'case "$*" in *"$FAILING"*) exit 2 ;; esac',
}
SETS_UP = 'beside "Debian'
"""The step that installs what is missing on the machine."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines(keepends=True)
    assert sum(line.startswith(SETS_UP) for line in lines) == 1
    kept = "".join(line for line in lines if not line.startswith(SETS_UP))
    for name, script in {**STAND_INS, ".ci/run": ""}.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(kept if name == ".ci/run" else f"#!/bin/sh\n{script}\n", "utf-8")
        file.chmod(0o755)
    return tmp_path


def run(checkout: Path, failing: str = "nothing", audit: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}",
        "TMPDIR": str(checkout / "tmp"),
        "FAILING": failing,
        "AUDIT": str(audit),
    }
    (checkout / "tmp").mkdir()
    return subprocess.run([checkout / ".ci" / "run"], env=environment, capture_output=True, text=True, check=False)


def test_all_that_passes_is_a_pass_and_leaves_nothing_behind(checkout: Path) -> None:
    ran = run(checkout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "FAILED" not in ran.stdout
    assert ran.stdout.count("\npassed ") == 9
    assert list((checkout / "tmp").iterdir()) == []


@pytest.mark.parametrize("failing", ["lint", "POSTGRES=16"])
def test_one_step_that_fails_fails_the_whole_and_the_others_run_all_the_same(checkout: Path, failing: str) -> None:
    ran = run(checkout, failing=failing)
    assert ran.returncode == 1
    assert ran.stdout.count("\nFAILED ") == 1
    assert ran.stdout.count("\npassed ") == 8


def test_a_question_about_vulnerabilities_that_nobody_answers_fails_nothing(checkout: Path) -> None:
    ran = run(checkout, audit=75)
    assert ran.returncode == 0
    assert ran.stdout.count("\nUNKNOWN ") == 1
