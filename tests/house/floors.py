"""The five rules of ARCHITECTURE.md, held by reading every module's syntax tree: nothing is imported, nothing runs.

A breach is one line, `path:line: rule N: what and what instead`. test_floors.py turns it on the tree, and proves it on
made-up modules. A new module gets its floor in the table FLOORS.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Floor and room of every module, by its prefix. A module may import lower floors, and its own room. Only the doors of
# floor 1 are rooms apart from each other; the other floors are one room each.
FLOORS: dict[str, tuple[int, str]] = {
    **dict.fromkeys(
        [
            "reproq.lifecycle",
            "reproq.spec",
            "reproq.canonical",
            "reproq.wire",
            "reproq.frames",
            "reproq.backoff",
            "reproq.output",
            "reproq.schedule",
            "reproq.config",
            "reproq.margin",
            "reproq.values",
            "reproq.errors",
            "reproq.error_lines",
            "reproq.queue_names",
            "reproq.retention",
        ],
        (0, "pure"),
    ),
    "reproq.store": (1, "store"),
    "reproq.executors": (1, "executors"),
    "reproq.child": (1, "executors"),
    "reproq.telemetry": (1, "telemetry"),
    "reproq.worker": (2, "loops"),
    "reproq.scheduler": (2, "loops"),
    "reproq.replay": (2, "loops"),
    "reproq.service": (2, "loops"),
    "reproq.cli": (3, "front desks"),
    "reproq.__main__": (3, "front desks"),
    "reproq.loadtest": (3, "front desks"),
    "reproq_django": (3, "front desks"),
}
ROOF = (0, "pure")  # `reproq` itself: its __init__ holds the version and imports nothing above floor 0

# Rule 1 also keeps floor 0 pure: no clock, socket, file, random, environment, process, thread or log.
IMPURE_MODULES = {
    "asyncio", "concurrent", "io", "logging", "multiprocessing", "os", "psycopg", "random", "secrets", "select",
    "selectors", "shutil", "signal", "socket", "subprocess", "tempfile", "threading", "time",
}  # fmt: skip
IMPURE_CALLS = {"now", "today", "utcnow", "read_text", "read_bytes", "write_text", "write_bytes"}

# Rule 3. SQL files lie here and nowhere else. Statements in Python: only where the DDL lies, beside the migrations, and
# in the embedded server, which asks a server's catalog before anything of ours is in it, and in the frozen ceiling.
SQL_FOLDERS = (
    *("reproq/store/sql", "reproq/loadtest/invariants", "reproq/loadtest/simulation/sql", "reproq/loadtest/bench/sql"),
    *("reproq_django/sql", "reproq_django/migrations"),
)
# The frozen ceiling is a program without Reproq on purpose: what it shares with the store could be moved by the store.
CEILING = "reproq.loadtest.bench.ceiling"
SQL_IN_PYTHON = ("reproq_django.migrations", "reproq_django.sql", "reproq_django.embedded", CEILING)
SQL_SHOUTED = re.compile(
    r"\bSELECT\b.*\bFROM\b|\bINSERT INTO\b|\bUPDATE\b.+\bSET\b|\bDELETE FROM\b|\bCREATE (UNLOGGED |TEMP\w* )?TABLE\b",
    re.DOTALL,
)
SQL_AT_THE_START = re.compile(
    r"\s*(select\b.*\bfrom\b|insert into\b|update\s+\S+\s+set\b|delete from\b|create table\b|with\s+\w+\s+as\s*\()",
    re.DOTALL,
)

# Rule 5: what only one room may use, by its full name, with all that lies below that name.
CONNECTS = {"psycopg.connect", "psycopg.Connection.connect", "psycopg.AsyncConnection.connect", "psycopg_pool"}
STARTS_PROCESSES = {
    "subprocess", "multiprocessing", "pty", "os.fork", "os.forkpty", "os.posix_spawn", "os.posix_spawnp", "os.system",
    "os.popen", "os.execl", "os.execle", "os.execlp", "os.execlpe", "os.execv", "os.execve", "os.execvp", "os.execvpe",
    "os.spawnl", "os.spawnle", "os.spawnlp", "os.spawnlpe", "os.spawnv", "os.spawnve", "os.spawnvp", "os.spawnvpe",
    "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "concurrent.futures.ProcessPoolExecutor",
}  # fmt: skip
HANDLES_SIGNALS = {
    "signal.signal", "signal.set_wakeup_fd", "signal.pthread_sigmask", "signal.sigwait", "signal.siginterrupt",
    "signal.setitimer", "signal.alarm",
}  # fmt: skip
READS_ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv"}
LOGS = {"logging", "syslog"}
# (names, who may use them besides, what to say). `reproq.child` is a process of its own: it forks, and sets the signals
# that it inherited back. A bench starts whole workers, as a person at a shell does, in one module.
ONLY: tuple[tuple[set[str], tuple[str, ...], str], ...] = (
    (CONNECTS, ("reproq.store.db", CEILING), "only store/db.py connects"),
    (STARTS_PROCESSES, ("reproq.executors", "reproq.loadtest.bench.processes"), "only executors/ starts processes"),
    (HANDLES_SIGNALS, ("reproq.service", "reproq.child"), "only service.py handles signals"),
    (
        READS_ENVIRONMENT,
        ("reproq.cli", "reproq.loadtest", "reproq.child.forgetting"),
        "only front desks read the environment; pass a value down",
    ),
    (LOGS, ("reproq.telemetry",), "only telemetry logs; emit an event"),
)


def inside(name: str, parents: Iterable[str]) -> bool:
    """Whether a dotted name is one of the parents or lies below one."""
    return any(name == parent or name.startswith(parent + ".") for parent in parents)


def place(module: str) -> tuple[int, str] | None:
    """Floor and room of a module, None for one that nobody gave a floor."""
    if module == "reproq":
        return ROOF
    return next((FLOORS[prefix] for prefix in FLOORS if inside(module, [prefix])), None)


def breaches(module: str, source: str, *, is_package: bool = False, path: str = "") -> list[str]:
    """Every breach of the five rules in one module's source, each a line of text."""
    tree = ast.parse(source)
    imported = list(imports(module, tree, is_package))
    found = {
        *floor_breaches(module, tree, imported),
        *sql_breaches(module, tree),
        *room_breaches(module, tree, imported),
    }
    return [f"{path or module}:{line}: {text}" for line, text in sorted(found)]


# -- imports ----------------------------------------------------------------------------------------------------------


class Import(NamedTuple):
    """`import os as o` at line 3 is Import(3, "os", "o", "os"): the full name, and what which local name stands for."""

    line: int
    name: str
    local: str
    stands_for: str


def imports(module: str, tree: ast.AST, is_package: bool) -> Iterator[Import]:
    """Every import, also relative, deferred, by import_module, or for types only."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    top = alias.name.split(".")[0]
                    yield Import(node.lineno, alias.name, alias.asname or top, alias.name if alias.asname else top)
            case ast.ImportFrom(module=name, names=names, level=level):
                base = package[: len(package) - level + 1] if level else []
                for alias in names:
                    full = ".".join([*base, *([name] if name else []), alias.name])
                    yield Import(node.lineno, full, alias.asname or alias.name, full)
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield Import(node.lineno, name, "", name)


def floor_breaches(module: str, tree: ast.AST, imported: list[Import]) -> Iterator[tuple[int, str]]:
    here = place(module)
    if here is None:
        yield 1, f"rule 1: {module} has no floor; give it a floor in the table of tests/house/floors.py"
        return
    floor, room = here
    for line, name, _, _ in imported:
        top = name.split(".")[0]
        if inside(module, ["reproq"]) and top in ("django", "reproq_django"):
            yield line, f"rule 2: {module} imports {name}; reproq knows neither django nor reproq_django"
        elif floor == 0 and top in IMPURE_MODULES:
            yield line, f"rule 1: {module} imports {name}; floor 0 is pure: values in, values out"
        elif (there := place(name)) and there not in (ROOF, here) and there[0] >= floor:
            direction = "up" if there[0] > floor else "sideways"
            target = f"{name} (floor {there[0]}, {there[1]})"
            yield line, f"rule 1: {module} (floor {floor}, {room}) imports {direction}: {target}"
    if floor == 0:
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id="open")):
                    yield node.lineno, f"rule 1: {module} opens a file; floor 0 is pure: values in, values out"
                case ast.Call(func=ast.Attribute(attr=name)) if name in IMPURE_CALLS:
                    yield node.lineno, f"rule 1: {module} calls .{name}(); floor 0 takes it as an argument"


# -- SQL --------------------------------------------------------------------------------------------------------------


def text_of(node: ast.AST) -> str | None:
    """The text of a string literal, an f-string (holes as {}) or a sum of them."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) or "{}" for part in parts)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            both = text_of(left), text_of(right)
            return None if both == (None, None) else "".join("{}" if part is None else part for part in both)
    return None


def docstrings(tree: ast.AST) -> set[ast.AST]:
    """Every string that stands alone as a statement: docstrings of modules, classes, functions and attributes."""
    return {statement.value for statement in ast.walk(tree) if isinstance(statement, ast.Expr)}


def sql_breaches(module: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    if inside(module, SQL_IN_PYTHON):
        return
    prose = docstrings(tree)
    for node in ast.walk(tree):
        text = None if node in prose else text_of(node)
        if text and (SQL_SHOUTED.search(text) or SQL_AT_THE_START.match(text)):
            start = " ".join(text.split())[:40]
            yield node.lineno, f"rule 3: SQL text in {module} ({start} …); it lives in reproq/store/sql/*.sql"  # type: ignore[attr-defined]


def sql_file_breaches(text: str, path: str) -> list[str]:
    """What is wrong with one statement file of the store."""
    found = []
    head = re.match(r"(?:--[^\n]*\n)*", text)[0]  # type: ignore[index]
    sentence = " ".join(line.removeprefix("--").strip() for line in head.splitlines()).strip()
    if not sentence.endswith((".", "!", "?")) or re.search(r"[.!?] +[A-Z]", sentence):
        found.append(f"{path}:1: rule 3: begin with one sentence in a `-- ` comment that says what must be true")
    blank = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|(\$\w*\$).*?\1", re.DOTALL)
    bare = blank.sub(lambda gap: "\n" * gap[0].count("\n") + ("" if gap[0].startswith(("--", "/*")) else "''"), text)
    if (count := sum(bool(part.strip()) for part in bare.split(";"))) != 1:
        found.append(f"{path}:1: rule 3: exactly one statement a file, not {count}")
    for line, content in enumerate(bare.splitlines(), start=1):
        for name in re.findall(r"(?<!%)%\((\w+)\)s(?!\s*(?:::|AS\b|as\b))", content):
            found.append(f"{path}:{line}: rule 3: cast the parameter: %({name})s::type")
    return found


# -- who may do what --------------------------------------------------------------------------------------------------


def uses(tree: ast.AST, imported: list[Import]) -> Iterator[tuple[int, str]]:
    """(line, full name) of all that is imported or reached so: after `import os as o`, `o.fork` is os.fork."""
    names = {local: stands_for for _, _, local, stands_for in imported}
    yield from ((line, name) for line, name, _, _ in imported)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (dotted := dotted_name(node)):
            head, _, rest = dotted.partition(".")
            if head in names:
                yield node.lineno, f"{names[head]}.{rest}"


def dotted_name(node: ast.AST) -> str | None:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr) if base := dotted_name(value):
            return f"{base}.{attr}"
    return None


def room_breaches(module: str, tree: ast.AST, imported: list[Import]) -> Iterator[tuple[int, str]]:
    """Rules 4 and 5. They bind `reproq`; reproq_django is a front desk, with Django's connection and settings."""
    if not inside(module, ["reproq"]):
        return
    for line, name in uses(tree, imported):
        for names, rooms, rule in ONLY:
            forks = inside(module, ["reproq.child"]) and name == "os.fork"
            if inside(name, names) and not inside(module, rooms) and not forks:
                yield line, f"rule 5: {module} uses {name}; {rule}"
    if inside(module, ["reproq.store"]) and module != "reproq.store.db":
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(attr="commit" | "rollback" as verb)):
                    yield node.lineno, f"rule 4: {module} calls .{verb}(); it joins its caller's transaction"
