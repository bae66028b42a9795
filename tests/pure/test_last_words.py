"""What a log shows of a traceback."""

from reproq.executors.last_words import LAST_LINES, last_words


def frame(path: str) -> list[str]:
    return [f'  File "{path}", line 3, in call', "    call()", "    ~~~~^^"]


LONG = [
    *frame("/srv/shop/manage.py"),
    *frame("/srv/shop/tasks.py"),
    *frame("/venv/site-packages/lib.py") * 9,
    "Error: x",
]


def test_the_project_s_own_line_is_told_however_deep_the_fault_is() -> None:
    told = last_words("\n".join(LONG)).splitlines()
    assert told[:4] == [*frame("/srv/shop/tasks.py"), "  …"]
    assert told[4:] == LONG[-LAST_LINES:]


def test_a_line_that_is_among_the_last_is_told_once() -> None:
    text = "\n".join([*LONG, *frame("/srv/shop/tasks.py"), "Error: y"])
    assert last_words(text).splitlines() == text.splitlines()[-LAST_LINES:]


def test_what_is_no_traceback_is_told_by_its_end() -> None:
    assert last_words("a\n" * 20 + "b").splitlines() == ["a"] * (LAST_LINES - 1) + ["b"]
