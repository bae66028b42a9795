"""Array literals of our own: what PostgreSQL reads from them is what was given."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Cursor, DataError

from reproq.store import arrays

per_example_transaction_is_not_needed = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=50
)
storable = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@per_example_transaction_is_not_needed
@given(values=st.lists(st.none() | storable | st.sampled_from(["NULL", "", " ", '"', "\\", "{}", ",", "{"])))
def test_any_texts_come_through(cursor: Cursor, values: list[str | None]) -> None:
    assert cursor.execute("SELECT %s::text[]", [arrays.texts(values)]).fetchone() == (values,)


@pytest.mark.parametrize("values", [["a\0b"], ["\0", ""], ["a", '\0","', None]])
def test_a_text_that_cannot_be_stored_stays_one_text_and_is_refused(cursor: Cursor, values: list[str | None]) -> None:
    assert arrays.texts(values).count("\0") == 1
    with pytest.raises(DataError):
        cursor.execute("SELECT %s::text[]", [arrays.texts(values)])


@per_example_transaction_is_not_needed
@given(values=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_any_64_bit_integers_come_through(cursor: Cursor, values: list[int | None]) -> None:
    assert cursor.execute("SELECT %s::bigint[]", [arrays.numbers(values)]).fetchone() == (values,)


@per_example_transaction_is_not_needed
@given(values=st.lists(st.none() | st.floats(allow_nan=False)))
def test_any_floats_come_through(cursor: Cursor, values: list[float | None]) -> None:
    assert cursor.execute("SELECT %s::float8[]", [arrays.numbers(values)]).fetchone() == (values,)


@pytest.mark.parametrize("values", [[], [True, False, None]])
def test_booleans_come_through(cursor: Cursor, values: list[bool | None]) -> None:
    assert cursor.execute("SELECT %s::bool[]", [arrays.numbers(values)]).fetchone() == (values,)
