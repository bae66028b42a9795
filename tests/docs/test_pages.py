"""Every page of the documentation, executed as it is printed; and the proof that the teller notices a lie."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.pages import blocks_in, blocks_of, pages
from tests.docs.story import Story, commands_in, pattern, trimmed

STORIES = [page for page in pages() if any(block.is_run for block in blocks_of(page))]


@pytest.fixture
def tell(tmp_path: Path, dsn: str) -> Iterator[Callable[[str], None]]:
    """Tells the blocks of a text, in one project."""
    story = Story(tmp_path, dsn)

    def tell_all(text: str, page: str = "made-up.md") -> None:
        for block in blocks_in(text, page):
            if block.is_run:
                story.tell(block)

    yield tell_all
    story.close()


@pytest.mark.slow
@pytest.mark.parametrize("page", STORIES)
def test_a_page_works_as_printed(page: str, tmp_path: Path, dsn: str) -> None:
    story = Story(tmp_path, dsn)
    try:
        for block in blocks_of(page):
            if block.is_run:
                story.tell(block)
    finally:
        story.close()


LIES = [
    ("```python\nassert 1 == 2\n```\n", "AssertionError"),
    ("```console\n$ echo one\ntwo\n```\n", "The command printed:\none"),
    ("```console\n$ false\n```\n", "ended with 1"),
    ("<!-- exit: 1 -->\n```console\n$ true\n```\n", "ended with 0"),
    ('```toml\nleese = "1s"\n```\n', "did you mean lease?"),
    ("```sh\necho nothing names me\n```\n", "name it in a mark"),
]


@pytest.mark.parametrize(("text", "says"), LIES)
def test_a_page_that_does_not_work_is_noticed(text: str, says: str, tell: Callable[[str], None]) -> None:
    with pytest.raises(AssertionError) as caught:
        tell(text)
    assert says in str(caught.value)


def test_sql_that_fails_is_noticed(tell: Callable[[str], None]) -> None:
    with pytest.raises(Exception, match="no_such_table"):
        tell("```sql\nSELECT * FROM no_such_table;\n```\n")


def test_blocks_of_one_page_share_names_until_a_file_changes(tell: Callable[[str], None]) -> None:
    tell("```python\na = 1\n```\n```python\nassert a == 1\n```\n")
    tell(
        "```python\n# shop/extra.py\nb = 2\n```\n```python\nfrom shop.extra import b\n\nassert 'a' not in dir()\n```\n"
    )


def test_marks_belong_to_the_next_block_only() -> None:
    text = "<!-- not run: no network -->\n\n```console\n$ a\n```\n"
    text += "```console\n$ b\n```\n<!-- exit: 3 -->\nwords\n```text\n```\n"
    first, second, third = blocks_in(text)
    assert (first.marks, second.marks, third.marks) == ({"not run": "no network"}, {}, {})
    assert (first.is_run, second.is_run, third.is_run) == (False, True, False)


def test_a_page_may_have_a_test_of_its_own() -> None:
    text = "<!-- page tested by: tests/a.py::test_b -->\n# Title\n```sql\n```\nwords\n```python\n```\n"
    assert [(block.marks, block.is_run) for block in blocks_in(text)] == [
        ({"tested by": "tests/a.py::test_b"}, False)
    ] * 2


def test_a_command_may_be_long_and_ends_where_its_output_begins() -> None:
    text = "$ reproq enqueue x \\\n    --in 5m\nok\n\n$ true\n"
    assert list(commands_in(text)) == [("reproq enqueue x \\\n    --in 5m", "ok\n"), ("true", "")]


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        ("a … c", "a b c", True),
        ("a … c", "a b\nc", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…", "a\nb\nc", True),
        ("a\n…", "b\nc", False),
        ("a  b", "a     b", True),
        ("a (b) *", "a (b) *", True),
        ("a", "a\nb", False),
    ],
)
def test_three_dots_stand_for_anything(shown: str, printed: str, fits: bool) -> None:
    assert bool(pattern(shown).fullmatch(trimmed(printed))) is fits
