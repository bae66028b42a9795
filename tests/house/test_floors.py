"""The rules of the house, kept by every module and statement file; and the proof that the checker sees a breach."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.floors import SQL_FOLDERS, breaches, sql_file_breaches

SRC = Path(__file__).resolve().parents[2] / "src"

# -- the tree as it is ------------------------------------------------------------------------------------------------


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def test_every_module_keeps_the_rules_of_the_house() -> None:
    found = [
        breach
        for module, path in modules()
        for breach in breaches(
            module,
            path.read_text("utf-8"),
            is_package=path.name == "__init__.py",
            path=str(path.relative_to(SRC.parent)),
        )
    ]
    assert not found, "\n" + "\n".join(found)


def test_every_sql_file_is_one_statement_under_one_sentence_in_its_place() -> None:
    found = []
    for path in sorted(SRC.rglob("*.sql")):
        name = str(path.relative_to(SRC))
        if not name.startswith(tuple(folder + "/" for folder in SQL_FOLDERS)):
            found.append(f"src/{name}:1: rule 3: SQL files lie in {', '.join(SQL_FOLDERS)}")
        if name.startswith("reproq/store/sql/"):
            found += sql_file_breaches(path.read_text("utf-8"), f"src/{name}")
    assert not found, "\n" + "\n".join(found)


# -- the checker itself -----------------------------------------------------------------------------------------------

REFUSED = [
    ("reproq.newcomer", "x = 1", "rule 1: reproq.newcomer has no floor; give it a floor"),
    ("reproq.spec", "from reproq.store import runs", "imports up: reproq.store.runs (floor 1, store)"),
    ("reproq.spec", "from . import worker", "imports up: reproq.worker (floor 2, loops)"),
    ("reproq.store.runs", "from ..executors import fork", "imports sideways: reproq.executors.fork"),
    ("reproq.executors.fork", "def f():\n    import reproq.telemetry.events", ":2: rule 1"),
    ("reproq.worker", "from importlib import import_module\nimport_module('reproq.cli')", ":2: rule 1"),
    ("reproq.spec", "from time import monotonic", "floor 0 is pure"),
    ("reproq.config", "open('reproq.toml')", "opens a file"),
    ("reproq.schedule", "from datetime import datetime\ndatetime.now()", ":2: rule 1: reproq.schedule calls .now()"),
    ("reproq.cli.worker", "from django.db import connection", "rule 2: reproq.cli.worker imports django.db.connection"),
    ("reproq.worker", "if TYPE_CHECKING:\n    import reproq_django", ":2: rule 2"),
    ("reproq.store.runs", "q = 'SELECT id\\nFROM task_runs'", "rule 3: SQL text in reproq.store.runs (SELECT id FROM"),
    ("reproq.store.runs", "q = f'update {table} set x = 1'", "rule 3"),
    ("reproq.store.runs", "q = 'INSERT ' + 'INTO ' + table", "rule 3"),
    ("reproq.worker", "q = 'DELETE FROM task_runs'", "rule 3"),
    ("reproq_django.admin", "q = 'CREATE TABLE x ()'", "rule 3"),
    ("reproq.store.runs", "def f(c):\n    c.connection.commit()", ":2: rule 4: reproq.store.runs calls .commit()"),
    ("reproq.worker", "import psycopg\npsycopg.connect('')", ":2: rule 5: reproq.worker uses psycopg.connect"),
    ("reproq.store.runs", "from psycopg import connect as c", "rule 5"),
    ("reproq.worker", "from psycopg import Connection\nConnection.connect('')", ":2: rule 5"),
    ("reproq.worker", "import subprocess", "only executors/ starts processes"),
    ("reproq.worker", "import os as o\no.fork()", ":2: rule 5: reproq.worker uses os.fork"),
    ("reproq.child", "from os import posix_spawn", "rule 5"),
    ("reproq.worker", "import signal\nsignal.signal(1, f)", ":2: rule 5: reproq.worker uses signal.signal"),
    ("reproq.executors.spawn", "import os\nenv = dict(os.environ)", ":2: rule 5"),
    ("reproq.worker", "from os import getenv", "only front desks read the environment"),
    ("reproq.worker", "import logging", "only telemetry logs"),
    ("reproq.cli.worker", "from logging import getLogger", "only telemetry logs"),
]  # fmt: skip

ALLOWED = [
    ("reproq", "from reproq.errors import ReproqError"),
    ("reproq.spec", "from . import errors\nfrom .wire import Payload\nfrom datetime import datetime"),
    ("reproq.worker", "from reproq import __version__, spec, store\nfrom reproq.scheduler import beat"),
    ("reproq.child", "from .executors import children\nimport os, signal\nos.fork()\nsignal.signal(1, signal.SIG_DFL)"),
    ("reproq.executors.fork", "import os, signal, subprocess\nos.kill(1, signal.SIGTERM)\nsubprocess.Popen([])"),
    ("reproq.worker", "import os, signal\nos.getpid()\nsignal.SIGTERM\nfrom reproq.store import db\ndb.connect('')"),
    ("reproq.store.db", "import psycopg\npsycopg.connect('').commit()"),
    ("reproq.store.runs", "import psycopg\ndef f(c: psycopg.Connection) -> None:\n    'SELECT x FROM y.'"),
    ("reproq.cli.runs", "import os\nos.environ\nhelp = 'Select a run from the list; update the set of queues.'"),
    ("reproq_django.migrations.0001_initial", "q = 'CREATE TABLE x ()'"),
    ("reproq_django.backend", "from django.db import connections\nfrom reproq import store"),
]


@pytest.mark.parametrize(("module", "source", "message"), REFUSED)
def test_the_checker_refuses(module: str, source: str, message: str) -> None:
    assert message in "\n".join(breaches(module, source))


@pytest.mark.parametrize(("module", "source"), ALLOWED)
def test_the_checker_allows(module: str, source: str) -> None:
    assert breaches(module, source) == []


def test_a_relative_import_of_a_package_counts_from_the_package() -> None:
    assert breaches("reproq.store", "from . import runs", is_package=True) == []
    assert "reproq.worker" in breaches("reproq.store", "from .. import worker", is_package=True)[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1", "begin with one sentence"),
        ("-- No full stop\nSELECT 1", "begin with one sentence"),
        ("-- One sentence. And another.\nSELECT 1", "begin with one sentence"),
        ("-- Two statements.\nSELECT 1; SELECT 2;", "not 2"),
        ("-- None.\n", "not 0"),
        ("-- Uncast.\nSELECT\n  %(now)s", ":3: rule 3: cast the parameter: %(now)s::type"),
    ],
)
def test_the_checker_refuses_a_statement_file(text: str, message: str) -> None:
    assert message in "\n".join(sql_file_breaches(text, "claim.sql"))


def test_the_checker_allows_a_statement_file() -> None:
    head = "-- At most %(n)s runs become ours,\n-- each once; none is lost.\n"
    text = head + "SELECT ';', $$;$$, /* ; */ %(n)s::int; -- end\n"
    assert sql_file_breaches(text, "claim.sql") == []
