"""The documentation as such: nothing in it is untested without a word, and nothing that it names is missing."""

import json
import re
from collections.abc import Iterator
from itertools import product

import click
import pytest

from reproq.child.by_hand import whole_payload
from reproq.cli import reproq
from reproq.lifecycle import Failure, Kind, Success
from reproq.wire import decode_reply
from tests.docs.pages import DOCS, KEYS, ROOT, RUN, SHOWN, Block, blocks_in, blocks_of, pages

RELIABILITY = (DOCS / "reliability.md").read_text("utf-8")
CHECKLIST = (DOCS / "checklist.md").read_text("utf-8")
TEST_ID = re.compile(r"tests/[\w/]+\.py::test_\w+")
LIMIT_CHARACTERS = 128


def faults_of(block: Block) -> Iterator[str]:
    """What is wrong with the language and the marks of one block."""
    if block.language not in RUN | SHOWN:
        yield f"the language {block.language!r} is none of {', '.join(sorted(RUN | SHOWN))}"
    for key, words in block.marks.items():
        if key not in KEYS:
            yield f"the mark {key!r} is none of {', '.join(sorted(KEYS))}"
        if key == "not run" and len(words.split()) < 3:
            yield "the mark `not run` gives no reason"
        if key == "tested by" and not exists(words):
            yield f"there is no test {words}"


def exists(test_id: str) -> bool:
    path, _, name = test_id.partition("::")
    return (ROOT / path).is_file() and f"\ndef {name}(" in (ROOT / path).read_text("utf-8")


def test_every_block_is_executed_or_says_why_not() -> None:
    found = [f"{block}: {fault}" for page in pages() for block in blocks_of(page) for fault in faults_of(block)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```\nwhat?\n```\n", "the language ''"),
        ("<!-- not run: no -->\n```python\n```\n", "gives no reason"),
        ("<!-- skip: this is no key -->\n```python\n```\n", "the mark 'skip'"),
        ("<!-- tested by: tests/docs/test_pages.py::test_nothing -->\n```sql\n```\n", "there is no test"),
    ],
)
def test_an_untested_block_is_noticed(text: str, fault: str) -> None:
    assert fault in "\n".join(fault for block in blocks_in(text) for fault in faults_of(block))


def test_no_fence_is_indented_where_no_test_would_find_it() -> None:
    assert not [page for page in pages() if re.search(r"^[ \t]+```", (DOCS / page).read_text("utf-8"), re.MULTILINE)]


def test_no_line_of_prose_is_too_long() -> None:
    found = [
        f"docs/{page}:{number}"
        for page in pages()
        if "made from the code by `scripts/reference`" not in (text := (DOCS / page).read_text("utf-8"))
        for number, line in enumerate(text.splitlines(), start=1)
        if len(line) > LIMIT_CHARACTERS and not line.startswith(("|", "<!--"))
    ]
    assert not found


def test_every_page_is_in_the_navigation_and_nothing_else() -> None:
    named = re.findall(r"^ +- .+: ([\w/.-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == pages(), "mkdocs.yml names the pages"


def test_the_protocol_page_shows_a_payload_and_replies_as_they_are() -> None:
    payload, *replies = (
        block.text for block in blocks_of("reference/executor-protocol.md") if block.language == "json"
    )
    worker_made = json.loads(whole_payload(b'{"task_path": "shop.tasks.add"}'))
    assert json.loads(payload).keys() == worker_made.keys()
    ok, failed = (decode_reply(reply.encode()).outcome for reply in replies)
    assert (ok, type(failed)) == (Success("5"), Failure)


# -- the checklist ----------------------------------------------------------------------------------------------------


def rows() -> list[tuple[str, str]]:
    """`(promise, what shows it)` of every row."""
    lines = [line for line in CHECKLIST.splitlines() if line.startswith('| "')]
    return [(cells[1].strip(), "|".join(cells[2:]).strip(" |")) for cells in (line.split("|") for line in lines)]


def test_every_promise_is_shown_or_said_to_be_open() -> None:
    assert len(rows()) > 60
    bare = [promise for promise, shown in rows() if not re.search(r"`|not yet: \w", shown)]
    assert not bare


def test_every_test_that_the_docs_name_exists() -> None:
    named = {found for page in pages() for found in TEST_ID.findall((DOCS / page).read_text("utf-8"))}
    assert len(named) > 60
    assert not sorted(name for name in named if not exists(name))


# -- the page about reliability ---------------------------------------------------------------------------------------


def rows_below(heading: str) -> list[list[str]]:
    """The cells of each row of the table in one section of the page, without the head."""
    section = RELIABILITY.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")][2:]


def test_every_promise_of_reliability_says_what_keeps_it_and_which_test_shows_it() -> None:
    promises, proofs = rows_below("What is promised"), rows_below("Proofs")
    assert len(promises) > 10
    assert [row[0] for row in promises] == [row[0] for row in proofs] == [str(n + 1) for n in range(len(promises))]
    assert not [row for row in promises if len(row) != 3 or "tests/" in " ".join(row)]
    assert not [row for row in proofs if len(row) != 2 or "tests/" not in row[1]]


def test_every_kind_of_end_has_a_test() -> None:
    ends = rows_below("How runs end")
    assert [kind.strip("`") for kind, _ in ends] == list(Kind)
    assert not [kind for kind, shown in ends if not TEST_ID.search(shown)]


def test_every_figure_of_reliability_keeps_its_goal() -> None:
    figures = rows_below("How fast")
    assert len(figures) > 5
    assert not [row for row in figures if float(row[2]) > float(row[3].removeprefix("≤ "))]


def command_faults(words: list[str]) -> Iterator[str]:
    """What is wrong with one command of the checklist."""
    match words:
        case ["reproq", *rest]:
            command: click.Command = reproq
            context = click.Context(reproq)
            while isinstance(command, click.Group) and rest:
                found = command.get_command(context, rest[0])
                if found is None:
                    yield f"there is no command {rest[0]}"
                    return
                command, rest = found, rest[1:]
            flags = {"--help"} | {flag for one in command.params for flag in [*one.opts, *one.secondary_opts]}
            yield from (
                f"{command.name} has no {word}"
                for word in rest
                if word.startswith("-") and word.partition("=")[0] not in flags
            )
        case ["python", "-m", module, *_]:
            if not (ROOT / "src" / module.replace(".", "/")).with_suffix(".py").is_file():
                yield f"there is no module {module}"
        case ["python", path] | [path]:
            if not (ROOT / path).is_file():
                yield f"there is no file {path}"
        case ["pip", "install", "reproq"]:
            pass
        case _:
            yield "is no command that this test knows"


def test_every_command_of_the_checklist_is_a_real_one() -> None:
    found = []
    for _, shown in rows():
        for text in re.findall(r"`([^`]+)`", shown):
            if not TEST_ID.fullmatch(text) and (" " in text or "/" in text):
                found += [f"{text}: {fault}" for fault in command_faults(text.split())]
    assert not found


def commands_within(text: str) -> Iterator[list[str]]:
    """The commands of ours that a sentence names, `list|show` as one of each; `…` ends what is meant."""
    for named in re.findall(r"`(?:(?:python )?manage\.py )?(reproq [a-z][^`…]*)", text):
        yield from map(list, product(*(word.split("|") for word in named.split())))


def test_every_command_that_a_sentence_names_is_a_real_one() -> None:
    texts = {page: (DOCS / page).read_text("utf-8") for page in pages()}
    texts |= {name: (ROOT / name).read_text("utf-8") for name in ("README.md", "CHANGELOG.md", "SECURITY.md")}
    found = {name: list(commands_within(text)) for name, text in texts.items()}
    assert sum(map(len, found.values())) > 150
    faults = [
        f"{name}: {' '.join(words)}: {fault}"
        for name, all_of in found.items()
        for words in all_of
        for fault in command_faults(words)
    ]
    assert not faults


@pytest.mark.parametrize(
    "words", ["reproq worcker", "reproq worker --leese 1s", "python -m no.such", "python no.py", "x y z"]
)
def test_a_command_that_is_none_is_noticed(words: str) -> None:
    assert list(command_faults(words.split()))
