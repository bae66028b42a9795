"""Where a command finds its configuration."""

from pathlib import Path

import pytest

from reproq.cli import project
from reproq.cli.project import NO_PROJECT, Project, configure
from reproq.cli.worker import warn_of_queues
from reproq.config import Config, Source


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The backends that a project was looked up for, in an empty folder without settings."""
    found: list[str] = []

    def find_project(backend: str, settings: str | None) -> Project:
        found.append(backend)
        return NO_PROJECT

    monkeypatch.setattr(project, "find_project", find_project)
    monkeypatch.delenv("REPROQ_BACKEND", raising=False)
    monkeypatch.setenv("REPROQ_DSN", "dbname=none")
    monkeypatch.chdir(tmp_path)
    return found


@pytest.mark.parametrize(
    ("file", "environment", "flag", "wanted"),
    [
        ("", None, None, "default"),
        ('backend = "of-the-file"', None, None, "of-the-file"),
        ('backend = "of-the-file"', "of-the-environment", None, "of-the-environment"),
        ('backend = "of-the-file"', "of-the-environment", "of-the-flag", "of-the-flag"),
    ],
)
def test_the_project_is_asked_for_the_backend_that_is_configured(
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    environment: str | None,
    flag: str | None,
    wanted: str,
) -> None:
    Path("reproq.toml").write_text(file)
    if environment:
        monkeypatch.setenv("REPROQ_BACKEND", environment)
    config, _ = configure({"backend": flag})
    assert (config.backend, asked) == (wanted, [wanted])


@pytest.mark.parametrize(
    ("queues", "warned"),
    [(("defualt",), "has default, mail; did you mean default?"), (("mail",), ""), (("*",), "")],
)
def test_a_queue_that_no_task_can_be_in_is_warned_of(
    queues: tuple[str, ...], warned: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project_found = Project(Source("a project", {}), "", "", queues=("default", "mail"))
    warn_of_queues(Config(queues=queues), project_found)
    said = capsys.readouterr().err
    assert warned in said
    assert bool(said) == bool(warned)
