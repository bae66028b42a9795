"""What a shell offers when someone presses the tabulator: asked of a real bash, by the script that we print."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from reproq.cli import reproq
from tests.plugins.bare import BARE_ENVIRONMENT

ROOT = Path(__file__).parents[2]
ASK = """
source "$SCRIPT"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_reproq_completion reproq
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str) -> str:
    result = CliRunner().invoke(reproq, ["completion", shell])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (("wor",), ["worker"]),
        (("re",), ["replay"]),
        (("runs", ""), ["list", "logs", "show"]),
        (("runs", "list", "--status", "S"), ["scheduled", "successful"]),
        (("runs", "list", "--error", "bad_s"), ["bad_spec"]),
        (("worker", "--executor", ""), ["fork", "pool", "spawn", "command", "mock"]),
        (("worker", "--exe"), ["--executor", "--exec-sleep"]),
        (("completion", "z"), ["zsh"]),
        (("runs", "nothing", "--json"), []),
    ],
    ids=" ".join,
)
def test_bash_is_offered_what_can_come_next(line: tuple[str, ...], offered: list[str], tmp_path: Path) -> None:
    program, source = tmp_path / "reproq", tmp_path / "script"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reproq "$@"\n')
    program.chmod(0o755)
    source.write_text(script("bash"))
    environment = BARE_ENVIRONMENT | {"PYTHONPATH": str(ROOT / "src"), "SCRIPT": str(source)}
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    command = ["/bin/bash", "-c", ASK, "bash", "reproq", *line]
    asked = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in asked.stderr
    assert sorted(asked.stdout.split()) == sorted(offered)


@pytest.mark.parametrize(
    ("shell", "asks"), [("zsh", "#compdef reproq"), ("fish", "complete --no-files --command reproq")]
)
def test_other_shells_have_scripts_that_ask_us(shell: str, asks: str) -> None:
    text = script(shell)
    assert asks in text
    assert f"_REPROQ_COMPLETE={shell}_complete" in text


def test_a_shell_that_we_do_not_know_is_refused() -> None:
    result = CliRunner().invoke(reproq, ["completion", "tcsh"])
    assert result.exit_code == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in result.output


def test_completing_imports_no_database() -> None:
    asked = "import reproq.cli.completion as c, sys; c.script('bash'); sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], cwd=ROOT / "src", check=False).returncode == 0
