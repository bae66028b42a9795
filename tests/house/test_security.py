"""What must never be written into the code: what runs texts or bytes as programs, and SQL put together from texts."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.test_tree import ROOT, sources

UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "code", "codeop", "yaml"}
UNSAFE_CALLS = {"eval", "exec", "compile"}
EXECUTES = {"execute", "executemany", "copy", "execute_batch"}


def dangers(source: str) -> Iterator[str]:
    """`line: what` of everything that could turn data into code."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (f"{node.lineno}: import {one.name}" for one in names if _top(one.name) in UNSAFE_MODULES)
            case ast.ImportFrom(module=str(name)) if _top(name) in UNSAFE_MODULES:
                yield f"{node.lineno}: from {name} import"
            case ast.Call(func=ast.Name(id=name)) if name in UNSAFE_CALLS:
                yield f"{node.lineno}: {name}()"
            case ast.Call(func=ast.Attribute(attr=name), args=[text, *_]) if name in EXECUTES and _is_made(text):
                yield f"{node.lineno}: .{name}() of a text that is put together"
            case ast.Call(keywords=keywords) if any(_is_shell(keyword) for keyword in keywords):
                yield f"{node.lineno}: shell=True"


def _top(name: str) -> str:
    return name.partition(".")[0]


def _is_made(text: ast.expr) -> bool:
    """Whether an expression puts a text together: f-string (but of constants of the source), %, +, format, join."""
    match text:
        case ast.JoinedStr(values=parts):
            return not all(_is_constant(part) for part in parts)
        case ast.BinOp(op=ast.Mod() | ast.Add()):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="format" | "join" | "replace")):
            return True
    return False


def _is_constant(part: ast.expr) -> bool:
    """A piece of an f-string that is text, or a name in capitals."""
    match part:
        case ast.FormattedValue(value=ast.Name(id=name)):
            return name.isupper()
    return isinstance(part, ast.Constant)


def _is_shell(keyword: ast.keyword) -> bool:
    return keyword.arg == "shell" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True


EXCEPTIONS = {
    # Names and values are constants of the module, for sessions of its own.
    "src/reproq/loadtest/simulation/session.py",
    # EXPLAIN in front of a statement of ours.
    "src/reproq/loadtest/bench/claims.py",
}


def test_no_source_turns_data_into_code() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{danger}"
        for path in sources()
        if str(path.relative_to(ROOT)) not in EXCEPTIONS
        for danger in dangers(path.read_text("utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


def test_the_exceptions_are_still_needed() -> None:
    assert all(list(dangers(Path(ROOT, name).read_text("utf-8"))) for name in EXCEPTIONS)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "eval(text)",
        "exec(body)",
        "cursor.execute(f'SELECT {x}')",
        "cursor.execute('SELECT %s' % x)",
        "cursor.execute('SELECT ' + x)",
        "cursor.execute('SELECT {}'.format(x))",
        "subprocess.run(text, shell=True)",
    ],
)
def test_a_danger_is_noticed(source: str) -> None:
    assert list(dangers(source))


@pytest.mark.parametrize(
    "source",
    [
        "cursor.execute(statement(name), params)",
        "connection.execute(f'LISTEN {CHANNEL}')",
        "import json",
        "connection.execute(sql.SQL('x {}').format(name))",
    ],
)
def test_what_is_harmless_is_not(source: str) -> None:
    assert not list(dangers(source))
