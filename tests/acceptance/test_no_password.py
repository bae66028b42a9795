"""A password is in no argv, no log, no error text, no traceback, and no row: a canary in its place is looked for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from reproq.cli import run
from reproq.config import Config
from tests.acceptance.workers import TASKS, command_lines, wait_for, worker

CANARY = "cAnAry77"


@pytest.fixture
def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Everything that a command says, outside of any project; the test ends by looking for the canary in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("reproq.cli.project.entry_points", lambda group: ())
    for name in ("DATABASE_URL", "REPROQ_DSN"):
        monkeypatch.delenv(name, raising=False)
    said: list[str] = []

    def tell(*arguments: str, **environ: str) -> str:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        run(list(arguments))
        said.append("".join(capsys.readouterr()))
        return said[-1]

    yield tell
    assert said
    assert CANARY not in "".join(said)


BAD = [
    f"postgresql://me:{CANARY}@127.0.0.1:1/shop",  # nobody listens
    f"postgresql://me:{CANARY}@db@127.0.0.1:1/shop",
    f"postgresql://me:{CANARY}/x@127.0.0.1:1/shop",
    f"postgresql://me:{CANARY}%zz@127.0.0.1:1/shop",
    f"host=127.0.0.1 port=1 password='{CANARY}",
    f"host=127.0.0.1 port=1 password={CANARY} nonsense",
    f"host=127.0.0.1 port={CANARY} password={CANARY}",
    f"{CANARY}",
]


@pytest.mark.parametrize("dsn", BAD)
@pytest.mark.parametrize("command", ["status", "doctor", "prune", "config"])
def test_an_address_that_cannot_work_is_refused_without_its_password(
    command: str, dsn: str, told: Callable[..., str]
) -> None:
    assert told(command, DATABASE_URL=dsn)


def test_configuration_is_shown_without_its_secrets(told: Callable[..., str]) -> None:
    secret = f"postgresql://me:{CANARY}@db/shop"
    shown = told("config", "--json", REPROQ_DSN=secret, REPROQ_LISTEN_DSN=secret, DATABASE_URL=secret)
    assert shown.count("(secret)") == 2
    assert "host=db" in shown


def test_a_file_that_is_wrong_is_refused_without_what_it_holds(told: Callable[..., str]) -> None:
    Path("reproq.toml").write_text(f'dsn = "postgresql://me:{CANARY}@db/shop\n', "utf-8")
    assert "is not TOML" in told("status")
    Path("reproq.toml").write_text(f'dsn = ["{CANARY}"]\nlease = "x"\n', "utf-8")
    assert "dsn = (secret) is not a text" in told("status")


def test_a_password_on_the_command_line_is_warned_of(told: Callable[..., str]) -> None:
    said = told("status", "--dsn", f"postgresql://me:{CANARY}@127.0.0.1:1/shop")
    assert "WARNING: --dsn holds a password, and a command line can be read by every local user" in said


def test_a_configuration_in_a_traceback_shows_no_secret() -> None:
    assert CANARY not in repr(Config(dsn=f"postgresql://me:{CANARY}@db/shop", listen_dsn=CANARY))


def everything_in(pg: psycopg.Connection) -> str:
    return str(pg.execute("SELECT run::text FROM task_runs AS run").fetchall()) + str(
        pg.execute("SELECT log::text FROM reproq_logs AS log").fetchall()
    )


@pytest.mark.direct
def test_a_working_worker_shows_it_to_nobody(
    pg: psycopg.Connection, dsn: str, log: Path, enqueue: Callable[..., Any]
) -> None:
    address = conninfo.make_conninfo(dsn, password=CANARY)
    runs = [enqueue("fail", "no luck"), enqueue("add", 1, 2), enqueue("backend_pid")]
    with worker(dsn, log, "-v", REPROQ_DSN=address, DATABASE_URL=address, PGPASSWORD=CANARY) as process:
        wait_for(
            "two runs to succeed",
            lambda: pg.execute("SELECT count(*) FROM task_runs WHERE status = 'SUCCESSFUL'").fetchone() == (2,),
        )
        argv = command_lines(process.pid)
        pg.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'worker-%' AND datname = current_database()"
        )
        wait_for("the loss to be told", lambda: "database back" in log.read_text())
    assert len(argv) >= 2
    assert len(runs) == 3
    assert CANARY.encode() not in b"".join(argv)
    assert CANARY not in log.read_text()
    assert CANARY not in everything_in(pg)
    assert TASKS in everything_in(pg)
