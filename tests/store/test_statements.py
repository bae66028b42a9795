"""The texts of the statements: how they travel, and that psycopg remembers what it has read in each."""

from importlib.resources import files

from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH

from reproq.store.statements import sent, statement


def test_a_statement_travels_without_comments_and_indentation() -> None:
    text = "SELECT\n    -- the name of the queue\n    name -- kept: it shares a line\n\nFROM queues"
    assert sent(text) == "SELECT\nname -- kept: it shares a line\nFROM queues"


def test_every_statement_is_short_enough_to_be_remembered() -> None:
    """Else its placeholders are looked for at each call, which takes longer than all the rest that Python does."""
    names = [path.name.removesuffix(".sql") for path in (files("reproq.store") / "sql").iterdir()]
    sizes = {name: len(sent(statement(name))) for name in names}
    assert {name: size for name, size in sizes.items() if size > MAX_CACHED_STATEMENT_LENGTH} == {}
    assert sizes["claim"] > 1000
