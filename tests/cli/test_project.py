"""Where a command finds its configuration."""

from pathlib import Path

import pytest

from reproq.cli import project
from reproq.cli.project import NO_PROJECT, Project, configure
from reproq.config import Source
from reproq.errors import ConfigurationError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The backends that a project was looked up for, in an empty folder without settings."""
    found: list[str] = []

    def find_project(backend: str, settings: str | None, starts: bool, given: str) -> Project:
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


@pytest.fixture
def shop(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with the queues `default` and `mail`, and one of another backend on the same database."""
    queues = ("default", "mail")
    found = Project(Source("a project", {}), "", "", queues=queues, queues_here=(*queues, "media"))
    monkeypatch.setattr(project, "find_project", lambda *asked: found)


@pytest.mark.usefixtures("shop")
def test_every_queue_that_no_task_can_be_in_is_refused_to_who_serves_with_place_and_remedy() -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure({"queues": "mail,defualt,x"}, serves=True)
    first, second, remedy = str(refused.value).splitlines()
    assert first.startswith("--queues: queues names the queue 'defualt', in which no task can be: ")
    assert first.endswith("QUEUES has default, mail, media; did you mean default?")
    assert "'x'" in second
    assert "add it to QUEUES" in remedy


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("queues", ["mail", "*", "media,default"])
def test_a_queue_of_any_backend_on_the_database_is_served(queues: str) -> None:
    config, _ = configure({"queues": queues}, serves=True)
    assert ",".join(config.queues) == queues


@pytest.mark.usefixtures("asked")
def test_where_any_queue_is_allowed_every_one_is_served() -> None:
    assert configure({"queues": "whatever"}, serves=True)[0].queues == ("whatever",)


@pytest.mark.usefixtures("shop")
def test_who_serves_nothing_may_have_an_unknown_queue_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_NAME", "defualt")
    assert configure({})[0].queues == ("defualt",)


@pytest.mark.usefixtures("asked")
def test_what_is_no_address_for_listen_is_refused_with_the_place_where_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(**flags: str) -> str:
        with pytest.raises(ConfigurationError) as told:
            configure(flags)
        return str(told.value).partition(": the database address cannot be parsed")[0]

    Path("reproq.toml").write_text('listen_dsn = "banana"')
    assert refused() == "reproq.toml: listen_dsn cannot work"
    options = Source("TASKS", {"listen_dsn": "banana"}, {"listen_dsn": "TASKS['default']['OPTIONS']['LISTEN_DSN']"})
    monkeypatch.setattr(project, "find_project", lambda *asked: Project(options, "", ""))
    assert refused() == "TASKS['default']['OPTIONS']['LISTEN_DSN']: listen_dsn cannot work"
    monkeypatch.setenv("REPROQ_LISTEN_DSN", "banana")
    assert refused() == "the environment variable REPROQ_LISTEN_DSN: listen_dsn cannot work"
    assert refused(listen_dsn="banana") == "--listen-dsn: listen_dsn cannot work"
