"""The page `docs/how-to/several-databases.md`, executed as it is printed: three databases on two embedded servers."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from reproq_django.embedded.server import Server
from tests.acceptance.workers import QUICK, ROOT, environment, statuses, wait_for

PAGE = (ROOT / "docs" / "how-to" / "several-databases.md").read_text("utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [(match[1], match[2]) for match in FENCE.finditer(PAGE)]
OUR_TABLES = {"task_runs", "reproq_workers", "periodic_tasks", "reproq_logs", "reproq_meta"}


def python_of(name: str) -> str:
    """The block of Python that begins with the comment `# name`."""
    return next(text for kind, text in BLOCKS if kind == "python" and text.startswith(f"# {name}\n"))


def commands(containing: str) -> list[list[str]]:
    """The arguments of manage.py in the shell lines that contain these words."""
    lines = [line.split() for kind, text in BLOCKS if kind == "console" for line in text.splitlines()]
    return [words[3:] for words in lines if containing in words]


class Site:
    """A project that holds what the page prints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = environment("dbname=none")
        del self.environment["DJANGO_SETTINGS_MODULE"], self.environment["REPROQ_TEST_DSN"]
        for arguments in (["startproject", "site1", "."], ["startapp", "shop"]):
            subprocess.run([sys.executable, "-m", "django", *arguments], cwd=folder, check=True)
        with (folder / "site1" / "settings.py").open("a") as settings:
            settings.write(python_of("settings.py"))
        for name in ("shop/tasks.py", "shop/orders.py"):
            (folder / name).write_text(python_of(name))
        (folder / "site1" / "urls.py").write_text(python_of("urls.py"))

    def start(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "manage.py", *arguments]
        with log.open("wb") as output:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=output, stderr=output)

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        ended = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def python(self, code: str) -> str:
        return self.manage("shell", "-v0", "-c", code)

    def connect(self, server: str, name: str) -> psycopg.Connection:
        return psycopg.connect(Server(self.folder / "var" / server).conninfo(name), autocommit=True)


@pytest.fixture
def site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="several"))
    try:
        yield Site(folder)
    finally:
        for name in ("shop", "queue"):
            Server(folder / "var" / name).stop("immediate")
        shutil.rmtree(folder)


def our_tables(connection: psycopg.Connection) -> set[str]:
    found = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r'").fetchall()
    return OUR_TABLES & {name for (name,) in found}


def work_until_both_have(site: Site, queue: psycopg.Connection, reports: psycopg.Connection) -> None:
    """Run the page's two workers at once, until a run of each database succeeded."""
    workers = {
        site.folder / f"worker-{number}.log": [*arguments, *QUICK, "--worker-id", f"w-{number}"]
        for number, arguments in enumerate(commands("worker"))
    }
    running = {site.start(*arguments, log=log): log for log, arguments in workers.items()}
    try:
        wait_for("both runs", lambda: statuses(queue) == statuses(reports) == {"SUCCESSFUL": 1})
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        ends = [(process.wait(30), log.read_text()) for process, log in running.items()]
    assert [code for code, _ in ends] == [0, 0], ends


@pytest.mark.slow
def test_the_page_works_as_printed(site: Site) -> None:
    for arguments in commands("migrate"):
        site.manage(*arguments)
    assert "no issues" in site.manage("check", "--database", "default", "--database", "queue", "--database", "reports")
    codenames = site.python("from django.contrib.auth.models import Permission as P\nprint(*P.objects.all())")
    assert "Can retry failed run" in codenames
    site.python(python_of("anywhere"))
    site.python(
        "from django.db import transaction\nfrom shop.orders import close_order, resend\n"
        "with transaction.atomic():\n    close_order(43); transaction.set_rollback(True)\n"
        "with transaction.atomic(using='queue'):\n    resend([44, 45]); transaction.set_rollback(True, 'queue')\n"
    )
    with site.connect("queue", "reproq") as queue, site.connect("queue", "reports") as reports:
        with site.connect("shop", "reproq") as default:
            assert our_tables(default) == set()
        assert our_tables(queue) == our_tables(reports) == OUR_TABLES
        work_until_both_have(site, queue, reports)
        found = [
            connection.execute("SELECT task_path, worker_ids, return_value #>> '{}' FROM task_runs").fetchone()
            for connection in (queue, reports)
        ]
    assert found == [
        ("shop.tasks.send_receipt", ["w-0"], "receipt of order 42 sent"),
        ("shop.tasks.count_orders", ["w-1"], "orders of month 7 counted"),
    ]
    site.python("from shop.orders import close_order, resend\nclose_order(43); resend([44, 45])\n")
    assert json.loads(site.manage("reproq", "status", "--json"))["unfinished"]["READY"] == 3
    assert json.loads(site.manage("reproq", "status", "--backend", "reports", "--json"))["unfinished"]["READY"] == 0
