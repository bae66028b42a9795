"""The list of commands: made without importing one of them, and true to each."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from reproq.cli import OWN_COMMANDS, reproq
from reproq_django.cli import commands

ROOT = Path(__file__).parents[2]
LISTED = OWN_COMMANDS | commands


@pytest.mark.parametrize("name", LISTED)
def test_a_command_is_listed_with_the_first_sentence_of_its_own_help(name: str) -> None:
    command = reproq.get_command(click.Context(reproq), name)
    assert command is not None
    assert command.get_short_help_str(limit=1000) == LISTED[name].help


def test_no_help_of_a_group_cuts_a_sentence() -> None:
    for group in ([], ["runs"], ["embedded"]):
        text = CliRunner().invoke(reproq, [*group, "--help"]).output
        assert "Commands:" in text
        assert "..." not in text.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wroker", "Error: No such command 'wroker'. Did you mean 'worker'?\n"),
        ("enqeue", "Error: No such command 'enqeue'. Did you mean 'enqueue'?\n"),
        ("zzz", "Error: No such command 'zzz'.\n"),
    ],
)
def test_a_misspelt_command_is_told_with_the_one_that_was_meant(name: str, says: str) -> None:
    refused = CliRunner().invoke(reproq, [name])
    assert refused.exit_code == 2
    assert refused.output.endswith(says)


def test_the_list_of_commands_imports_none_of_them() -> None:
    asked = (
        "import sys; from reproq.cli import run\ntry: run(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'psycopg', 'django', 'rich', 'asyncio'} & set(sys.modules)\nsys.exit(', '.join(heavy) or 0)"
    )
    command = [sys.executable, "-c", asked]
    result = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "worker" in result.stdout
