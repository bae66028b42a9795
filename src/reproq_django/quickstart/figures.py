"""Measures one source file with `ast`. Knows nothing of tasks."""

import ast
import os
from pathlib import Path

STANDARD_LIBRARY = Path(os.__file__).parent
LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo", "__pycache__", "config"}


def source_files() -> list[str]:
    """The standard library's modules of the interpreter that runs this, as paths within it."""
    found = (path.relative_to(STANDARD_LIBRARY) for path in STANDARD_LIBRARY.rglob("*.py"))
    return sorted(str(path) for path in found if not LEFT_OUT.intersection(path.parts))


def measure(name: str) -> dict[str, int | str]:
    """Lines, functions, classes and deepest nesting of one module."""
    source = (STANDARD_LIBRARY / name).read_bytes()
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    return {
        "module": name,
        "lines": source.count(b"\n"),
        "functions": sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes),
        "classes": sum(isinstance(node, ast.ClassDef) for node in nodes),
        "deepest": _depth(tree),
    }


def _depth(tree: ast.AST) -> int:
    """How many blocks the deepest statement stands in."""
    deepest, level = 0, [(tree, 0)]
    while level:
        node, depth = level.pop()
        deepest = max(deepest, depth)
        inner = depth + isinstance(node, ast.stmt)
        level += [(child, inner) for child in ast.iter_child_nodes(node)]
    return deepest
