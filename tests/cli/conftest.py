"""Commands called in this process: quick, and with Django's connection at the test's own database."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from reproq.cli import run


class Result(NamedTuple):
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def reproq(db: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Calls a command with Django's connection at this test's database."""

    def call(*arguments: str) -> Result:
        capsys.readouterr()
        code = run(list(arguments))
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file that the test's workers log into."""
    return tmp_path / "worker.log"
