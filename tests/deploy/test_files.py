"""Dockerfile, systemd unit, Kubernetes manifest, and the page that shows them: they agree with the code."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.shipped import DEPLOY, KNOB_VARIABLES, PAGE, ROOT, STOPPING_SECONDS, parse_command

UNIT = DEPLOY / "reproq-worker@.service"
SHOWN = {
    "compose.yaml": ROOT / "compose.yaml",
    "Dockerfile": ROOT / "Dockerfile",
    "examples/deploy/reproq-worker@.service": UNIT,
    "examples/deploy/kubernetes.yaml": DEPLOY / "kubernetes.yaml",
}


def dockerfile() -> list[tuple[str, str]]:
    """Every instruction and its argument, continued lines joined."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8")).replace("\\\n", " ")
    lines = (line.partition(" ") for line in text.splitlines() if line.strip())
    return [(word, rest.strip()) for word, _, rest in lines]


def test_the_image_is_built_in_stages_from_slim_pythons_and_ends_as_an_ordinary_user() -> None:
    bases = [rest for word, rest in dockerfile() if word == "FROM"]
    assert bases == ["python:3.13-slim AS build", "python:3.13-slim"]
    last = dockerfile()[max(i for i, (word, _) in enumerate(dockerfile()) if word == "FROM") :]
    (user,) = [rest for word, rest in last if word == "USER"]
    assert user == "reproq"
    assert any(word == "RUN" and "useradd" in rest and rest.endswith(user) for word, rest in last)


def test_the_image_runs_the_worker_itself_and_no_shell() -> None:
    (command,) = [rest for word, rest in dockerfile() if word in ("CMD", "ENTRYPOINT")]
    argv = json.loads(command)
    assert parse_command(argv)[0].name == "worker"
    assert ("STOPSIGNAL", "SIGTERM") in dockerfile()


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    sources = [
        source
        for word, rest in dockerfile()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert sources
    assert set(sources) == kept
    assert all((ROOT / source).exists() for source in sources)


def test_the_images_constraints_are_the_locks_versions() -> None:
    (script,) = [rest for word, rest in dockerfile() if rest.startswith("sed")]
    made = subprocess.run(["sh", "-c", script.partition(">")[0]], cwd=ROOT, capture_output=True, text=True, check=True)
    lock = (ROOT / "requirements/django-6.1.txt").read_text("utf-8")
    assert made.stdout.splitlines() == re.findall(r"(?m)^([a-z0-9-]+==[^ ;]+)", lock)


def unit() -> dict[str, dict[str, list[str]]]:
    sections: dict[str, dict[str, list[str]]] = {}
    for line in UNIT.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            section.setdefault(name, []).append(value)
    return sections


def test_the_unit_gives_the_worker_time_to_drain_and_signals_it_alone() -> None:
    service = {name: values[-1] for name, values in unit()["Service"].items()}
    assert float(service["TimeoutStopSec"]) > STOPPING_SECONDS
    assert (service["Type"], service["KillMode"], service["KillSignal"]) == ("exec", "mixed", "SIGTERM")
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("always", "2")
    assert service["OOMPolicy"] == "continue"


def test_the_unit_starts_a_command_of_ours_and_sets_names_that_exist() -> None:
    service = unit()["Service"]
    program, *arguments = service["ExecStart"][0].split()
    assert parse_command([Path(program).name, *arguments])[0].name == "worker"
    names = {value.partition("=")[0] for value in service["Environment"]}
    assert names <= KNOB_VARIABLES | {"DJANGO_SETTINGS_MODULE"}


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("not on this platform: there is no systemd")
    text = UNIT.read_text("utf-8")
    program = unit()["Service"]["ExecStart"][0].split()[0]
    (tmp_path / UNIT.name).write_text(text.replace(program, "/bin/true"))
    instance = tmp_path / UNIT.name.replace("@", "@default")
    verified = subprocess.run(["systemd-analyze", "verify", instance], capture_output=True, text=True, timeout=60)
    found = [line for line in verified.stderr.splitlines() if "reproq-worker" in line]
    assert not found, verified.stderr


def pod() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes.yaml").read_text("utf-8"))
    spec: dict[str, Any] = parsed["spec"]["template"]["spec"]
    return spec


def test_kubernetes_waits_longer_than_a_worker_can_take() -> None:
    assert pod()["terminationGracePeriodSeconds"] > STOPPING_SECONDS


def test_the_pods_commands_and_names_are_ours() -> None:
    (container,) = pod()["containers"]
    assert parse_command(container["command"])[0].name == "worker"
    assert parse_command(container["readinessProbe"]["exec"]["command"])[1]["here"] is True
    assert "livenessProbe" not in container
    assert {entry["name"] for entry in container["env"]} <= KNOB_VARIABLES | {"DJANGO_SETTINGS_MODULE"}


@pytest.mark.parametrize("name", SHOWN)
def test_the_page_shows_the_file_that_is_shipped(name: str) -> None:
    pattern = rf"<!-- file: {re.escape(name)} -->\n```\w+\n(.*?)^```$"
    shown = re.findall(pattern, PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert shown == [SHOWN[name].read_text("utf-8")]


def test_commands_on_the_page_are_ours() -> None:
    lines = re.findall(r"(?m)^\$ (?:.*?)(?<![\w/.-])(reproq (?!-)[^|#\n]*)", PAGE.read_text("utf-8"))
    assert len(lines) >= 3
    for line in lines:
        parse_command(line.split())
