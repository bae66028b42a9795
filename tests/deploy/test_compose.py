"""compose.yaml without an engine: its server's settings on a real PostgreSQL 15, its commands and names in our code."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reproq.config import from_environment, load
from reproq_django.embedded.server import Server
from tests.deploy.shipped import KNOB_VARIABLES, ROOT, STOPPING_SECONDS, compose, parse_command, seconds
from tests.plugins.bare import BARE_ENVIRONMENT

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
OURS = ("migrate", "worker", "loadgen")
DJANGO_NAMES = {"DJANGO_SETTINGS_MODULE", "REPROQ_DEMO_DATABASE_URL"}
NAMED = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][name]
    return found


def filled_in(value: str) -> str:
    """A value of compose.yaml where nothing is set outside."""
    return NAMED.sub(lambda name: name[2] or "", value)


def server_settings() -> dict[str, str]:
    program, *rest = service("db")["command"]
    assert program == "postgres"
    assert set(rest[::2]) == {"-c"}
    return dict(setting.split("=", 1) for setting in rest[1::2])


@pytest.fixture(scope="module")
def tuned() -> Iterator[Server]:
    if not DEBIAN_15.is_dir():
        pytest.skip("Debian's postgresql-15 is not installed")
    with tempfile.TemporaryDirectory(prefix="tuned") as folder:
        server = Server(Path(folder, "db"), binaries=DEBIAN_15, version=15, settings=server_settings())
        with server.running(mode="immediate"):
            yield server


def test_a_postgresql_15_starts_with_the_settings_and_shows_each_as_it_is_written(tuned: Server) -> None:
    assert service("db")["image"] == "postgres:15"
    with psycopg.connect(tuned.conninfo()) as connection:
        assert connection.info.server_version // 10_000 == 15
        shown = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in server_settings()}
        assert shown == server_settings()
        for durable in ("fsync", "full_page_writes", "synchronous_commit"):
            assert connection.execute(f"SHOW {durable}").fetchone() == ("on",)


def test_the_migrate_service_makes_the_tables_there(tuned: Server) -> None:
    with psycopg.connect(tuned.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE reproq ENCODING 'UTF8' TEMPLATE template0")
    python, *arguments = service("migrate")["command"]
    assert python == "python"
    named = service("migrate")["environment"]
    address = tuned.conninfo("reproq")
    environment = {**BARE_ENVIRONMENT, **named, "REPROQ_DEMO_DATABASE_URL": address}
    environment["PYTHONPATH"] = str(ROOT / "src")
    subprocess.run([sys.executable, *arguments, "-v0"], env=environment, cwd="/", check=True, timeout=60)
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT count(*) FROM task_runs").fetchone() == (0,)


@pytest.mark.parametrize("name", ["worker", "loadgen"])
def test_commands_are_ours_with_options_that_exist(name: str) -> None:
    command, options = parse_command(service(name)["command"])
    assert command.name == name
    if name == "loadgen":
        assert options["tasks"] == 100_000


def test_the_health_check_of_the_worker_is_a_command_of_ours() -> None:
    door, *argv = service("worker")["healthcheck"]["test"]
    assert door == "CMD"
    command, options = parse_command(argv)
    assert (command.name, options["here"]) == ("status", True)


def test_every_name_of_the_environment_is_read_by_somebody() -> None:
    for name in OURS:
        assert set(service(name)["environment"]) <= KNOB_VARIABLES | DJANGO_NAMES
    source = (ROOT / "src/reproq_django/quickstart/settings.py").read_text("utf-8")
    assert all(name in source for name in DJANGO_NAMES if name.startswith("REPROQ_"))
    asked_for = {name for name, _ in NAMED.findall((ROOT / "compose.yaml").read_text("utf-8"))}
    assert asked_for - {"POSTGRES_PASSWORD"} <= KNOB_VARIABLES


def test_the_workers_environment_is_a_configuration_and_serves_what_loadgen_fills() -> None:
    environment = {name: filled_in(value) for name, value in service("worker")["environment"].items()}
    config = load(from_environment(environment))
    assert (config.queues, config.executor) == (("*",), "fork")


def test_a_stopping_worker_has_more_time_than_it_can_take() -> None:
    assert seconds(service("worker")["stop_grace_period"]) > STOPPING_SECONDS


def test_no_password_stands_in_an_argv() -> None:
    for parts in compose()["services"].values():
        argv = [*parts["command"], *parts.get("healthcheck", {}).get("test", [])]
        assert all(isinstance(part, str) for part in argv), "a list each, so that no shell is PID 1"
        assert not [part for part in argv if "PASSWORD" in part or "postgresql://" in part]


def test_what_runs_once_is_not_started_again_and_what_serves_is() -> None:
    restarts = {name: service(name)["restart"] for name in ("db", *OURS)}
    assert restarts == {"db": "unless-stopped", "worker": "unless-stopped", "migrate": "no", "loadgen": "no"}
    assert service("loadgen")["profiles"] == ["loadgen"]
    for name in ("worker", "loadgen"):
        waits_for = {other: how["condition"] for other, how in service(name)["depends_on"].items()}
        assert waits_for == {"db": "service_healthy", "migrate": "service_completed_successfully"}
