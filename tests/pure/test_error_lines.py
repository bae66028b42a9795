"""How an error is told in one line."""

import pytest

from reproq.error_lines import MAX_CHARS, error_line, error_text
from reproq.lifecycle import EXCEPTION_CLASSES, Kind


@pytest.mark.parametrize(
    ("exception_class", "message", "told"),
    [
        ("builtins.KeyError", "'customer'", "KeyError: 'customer'"),
        ("builtins.AssertionError", "", "AssertionError"),
        ("builtins.KeyboardInterrupt", "", "KeyboardInterrupt"),
        ("shop.errors.NoStock", "of 7", "shop.errors.NoStock: of 7"),
        ("django.db.utils.DataError", "too long\nDETAIL:  12", "django.db.utils.DataError: too long DETAIL: 12"),
    ],
)
def test_an_exception_is_told_by_its_class_and_its_message(exception_class: str, message: str, told: str) -> None:
    assert error_line("exception", exception_class, message) == told
    assert error_text("exception", exception_class, message) == told


@pytest.mark.parametrize("kind", EXCEPTION_CLASSES)
def test_a_kind_with_a_class_of_its_own_is_told_once(kind: Kind) -> None:
    assert error_line(kind, EXCEPTION_CLASSES[kind], "why") == f"{kind}: why"
    assert error_line(kind.value, EXCEPTION_CLASSES[kind], "") == kind
    assert error_text(kind, EXCEPTION_CLASSES[kind], "why") == "why"


def test_a_kind_that_brings_another_class_is_told_with_it() -> None:
    assert error_line("bad_return", "shop.Money", "no JSON") == "bad_return: shop.Money: no JSON"
    assert error_text("bad_return", "shop.Money", "no JSON") == "shop.Money: no JSON"


def test_what_sql_has_stored_is_told_as_far_as_it_goes() -> None:
    assert error_line("by hand", None, None) == "by hand"
    assert error_line(None, None, "words") == "words"


def test_a_long_message_is_cut_and_says_how_much_is_left_out() -> None:
    told = error_line("exception", "builtins.ValueError", "y" * 5_000)
    assert told == f"ValueError: {'y' * MAX_CHARS}… (4,700 more characters)"
    assert error_line("exception", "builtins.ValueError", "y" * MAX_CHARS) == f"ValueError: {'y' * MAX_CHARS}"
