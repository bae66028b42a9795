"""A page as a story: its blocks, executed in order in a small Django project on a database of the test's own.

- `python` that names a file becomes it (`# settings.py` is added to the project's settings, a file named again grows);
  any other runs in one interpreter, with the project set up, which all such blocks of a page share;
- `console` runs each line that begins with `$ `, and compares what is shown below it: `…` stands for anything;
- `sql` runs in the database; `toml` becomes `reproq.toml`, which `reproq config` must take.

A worker without `--burst` runs until the end of the story, and every step waits until it has nothing to do.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import conninfo

from tests.acceptance.workers import statuses, wait_for
from tests.docs.pages import ROOT, Block

SETTINGS = """
from pathlib import Path

BASE_DIR = Path(__file__).parents[1]
SECRET_KEY = "docs"
DEBUG = True
ROOT_URLCONF = "mysite.urls"
USE_TZ = True
STATIC_URL = "static/"
INSTALLED_APPS = [
    "django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "django.contrib.messages",
    "django.contrib.admin", "reproq_django", "shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
TASKS = {"default": {"BACKEND": "reproq_django.backend.ReproqBackend", "OPTIONS": {"RETENTION": "30d"}}}
"""
MANAGE = """
import sys
from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
"""
INTERPRETER = """
import json, os, sys, traceback
import django

django.setup()
answers, names = os.fdopen(os.dup(1), "w"), {"__name__": "story"}
os.dup2(2, 1)
for line in sys.stdin:
    code, error = json.loads(line), None
    try:
        exec(compile(code, "<the page>", "exec"), names)
    except BaseException:
        error = traceback.format_exc()
    print(json.dumps(error), file=answers, flush=True)
"""
RUNS_ON = re.compile(r"\breproq worker\b(?!.*--(burst|requeue-id|requeue-hash|help)\b)")


class Story:
    """The project of one page. `close` ends what it started, and says whether its workers ended well."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder = folder
        self.dsn = dsn
        self._exports: list[str] = []
        self._interpreter: subprocess.Popen[str] | None = None
        self._workers: dict[Path, subprocess.Popen[bytes]] = {}
        """Each by the file that has its log."""
        parts = conninfo.conninfo_to_dict(dsn)
        names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
        entry = {"ENGINE": "django.db.backends.postgresql"} | {key: parts.get(name, "") for key, name in names.items()}
        for name, text in (
            ("manage.py", MANAGE),
            ("mysite/__init__.py", ""),
            ("mysite/urls.py", "urlpatterns = []\n"),
            ("mysite/settings.py", f'{SETTINGS}DATABASES = {{"default": {entry!r}}}\n'),
            ("shop/__init__.py", ""),
        ):
            self._write(name, text)
        (folder / "examples").symlink_to(ROOT / "examples")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("REPROQ_", "DATABASE_URL"))}
        self._environment = kept | {
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}",
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT / 'src'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "100",
            "REPROQ_POLL_INTERVAL": "50ms",
        }

    def tell(self, block: Block) -> None:
        """Execute one block. Raises AssertionError, naming page and line, for whatever is not as the page says."""
        self._settle()
        if block.language == "toml":
            self._write("reproq.toml", block.text)
            self._command(block, "reproq config", 0, "")
        elif block.file:
            self._write_named(block.file, block.text)
        elif block.language == "python":
            self._python(block)
        elif block.language == "console":
            commands = list(commands_in(block.text))
            for number, (command, shown) in enumerate(commands, start=1):
                code = int(block.marks.get("exit", 0)) if number == len(commands) else 0
                self._command(block, command, code, shown)
        elif block.language == "sql":
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                connection.execute(block.text.encode())
        else:
            raise AssertionError(
                f"{block}: {block.language} becomes a file: name it in a mark `file: …` above the block"
            )

    def close(self) -> None:
        self._forget_interpreter()
        codes = [_ended(worker, log) for log, worker in self._workers.items()]
        assert not any(codes), f"a worker ended with {codes}:\n{''.join(log.read_text() for log in self._workers)}"

    def _write_named(self, name: str, text: str) -> None:
        path = "mysite/settings.py" if name == "settings.py" else name
        if name == "settings.py":
            text += "INSTALLED_APPS = list(dict.fromkeys(INSTALLED_APPS))  # the story's own settings have it already\n"
        before = (self.folder / path).read_text("utf-8") if (self.folder / path).exists() else ""
        self._write(path, f"{before}\n{text}" if before else text)
        if text.startswith("#!"):
            (self.folder / path).chmod(0o755)
        self._forget_interpreter()

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def _settle(self) -> None:
        if self._workers:
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                wait_for("the worker to be idle", lambda: not statuses(connection).keys() & {"READY", "RUNNING"})

    def _python(self, block: Block) -> None:
        if self._interpreter is None:
            self._interpreter = subprocess.Popen(
                [sys.executable, "-c", INTERPRETER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=self.folder,
                env=self._environment,
                text=True,
            )
        assert self._interpreter.stdin is not None
        assert self._interpreter.stdout is not None
        self._interpreter.stdin.write(json.dumps(block.text) + "\n")
        self._interpreter.stdin.flush()
        error = json.loads(self._interpreter.stdout.readline())
        assert error is None, f"{block}: {error}"

    def _forget_interpreter(self) -> None:
        if self._interpreter is not None:
            self._interpreter.communicate()
            self._interpreter = None

    def _command(self, block: Block, command: str, code: int, shown: str) -> None:
        self._settle()
        if command.startswith("export "):
            self._exports.append(command)
            return
        script = ["bash", "-c", "\n".join([*self._exports, command])]
        if code == 0 and RUNS_ON.search(command):
            file = self.folder / f"worker-{len(self._workers)}.log"
            with file.open("wb") as log:
                script[2] = "\n".join([*self._exports, f"exec {command}"])
                running = subprocess.Popen(script, cwd=self.folder, env=self._environment, stdout=log, stderr=log)
            self._workers[file] = running
            return
        ended = subprocess.run(
            script,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == code, f"{block}: $ {command}\nended with {ended.returncode}:\n{ended.stdout}"
        printed = trimmed(ended.stdout)
        assert not shown or pattern(shown).fullmatch(printed), (
            f"{block}: $ {command}\nThe page shows:\n{shown}\nThe command printed:\n{printed}"
        )


def _ended(worker: subprocess.Popen[bytes], log: Path) -> int:
    """The exit code of a worker that is told to end, once it has started: before that, a signal is just its death."""
    wait_for("a worker to start", lambda: "worker.started" in log.read_text() or worker.poll() is not None)
    worker.send_signal(signal.SIGTERM)
    return worker.wait(30)


def commands_in(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what is shown below it; a command may go on after a backslash."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, shown = re.match(r"((?:.*\\\n)*.*)\n?((?s:.*))", part).groups()  # type: ignore[union-attr]
        yield command, trimmed(shown)


def trimmed(text: str) -> str:
    """Whole lines, without empty ones at the ends, and without blanks at the end of a line."""
    return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines())


def pattern(shown: str) -> re.Pattern[str]:
    """What a page shows, as a pattern of whole lines: `…` alone is any lines, elsewhere anything within its line."""
    lines = []
    for line in shown.splitlines():
        parts = [re.sub(r"(\\ )+", " +", re.escape(part)) for part in line.split("…")]
        lines.append(r"(?:.*\n)*?" if line.strip() == "…" else ".*".join(parts) + r"\n")
    return re.compile("".join(lines))
