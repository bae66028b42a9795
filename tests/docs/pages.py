"""Reads pages: their fenced blocks, and the marks above a block that say how it is tested.

A mark is an HTML comment `<!-- key: words -->` right above its block:

- `not run: reason`: nothing executes it, and why;
- `file: name`: it becomes this file of the project (a Python block may say so in its first line: `# shop/tasks.py`);
- `exit: 3`: its last command ends with this code;
- `tested by: tests/…::test_…`: a test of its own executes it; `page tested by: …`, on top, says so of all blocks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RUN = frozenset({"python", "console", "sql", "toml", "sh", "js"})
"""Languages whose every block is executed, or says why not."""

SHOWN = frozenset({"text", "json", "yaml", "ini", "dockerfile", "mermaid"})
"""Languages that are only shown."""

KEYS = frozenset({"not run", "file", "exit", "tested by"})
_MARK = re.compile(r"<!-- ([a-z ]+): (.+?) -->")
_FILE = re.compile(r"(?:#!.*\n)?(?:#|//) ([\w/.-]+\.\w+)\n")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `line` is that of its fence."""

    page: str
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str | None:
        """The file that it becomes, by its mark or its first comment."""
        found = _FILE.match(self.text)
        return self.marks.get("file") or (found[1] if found else None)

    @property
    def is_run(self) -> bool:
        """Whether the story of its page executes it."""
        return self.language in RUN and not self.marks.keys() & {"not run", "tested by"}

    def __str__(self) -> str:
        return f"docs/{self.page}:{self.line}"


def pages() -> list[str]:
    """Every page, by its path within docs/."""
    return sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def blocks_of(page: str) -> list[Block]:
    """The blocks of one page."""
    return list(blocks_in((DOCS / page).read_text("utf-8"), page))


def blocks_in(text: str, page: str = "") -> Iterator[Block]:
    """The blocks of a text, in order. Only fences at the beginning of a line open and end one."""
    everywhere: dict[str, str] = {}
    marks: dict[str, str] = {}
    opened: tuple[int, str] | None = None
    body: list[str] = []
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if opened is not None:
            if line.startswith("```"):
                yield Block(page, *opened, "".join(body), everywhere | marks)
                marks, opened, body = {}, None, []
            else:
                body.append(line)
        elif line.startswith("```"):
            opened = number, line[3:].strip()
        elif found := _MARK.fullmatch(line.strip()):
            key, words = found.groups()
            if key.startswith("page "):
                everywhere = {key.removeprefix("page "): words}
            else:
                marks = {**marks, key: words}
        elif line.strip():
            marks = {}
