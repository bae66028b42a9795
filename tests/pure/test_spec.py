"""The canonical form, its hash and its refusals, in Python; store/ holds the SQL twin to the same vectors."""

import enum
import hashlib
import http
import json
import random
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproq.canonical import canonical, json_text
from reproq.errors import BadSpec, InvalidArguments
from reproq.spec import flat_spec, hash_document, make_spec, parse_and_hash, seed

PUBLISHED = json.loads((Path(__file__).parent.parent / "vectors" / "spec_hash.json").read_text())
VECTORS = PUBLISHED["vectors"]
GIVEN_HASH = "2d6721014757fa10799d528b6b15aee6c76a841b9ea74e187875f4abfcdbedd5"

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)
flat = st.none() | st.booleans() | st.integers() | st.text(max_size=20)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.fixture
def lowest_digit_limit() -> Iterator[None]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(before)


@pytest.fixture
def no_digit_limit() -> Iterator[None]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(before)


# The published vectors


def test_there_are_at_least_sixty_vectors_with_names_of_their_own() -> None:
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS) >= 60


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_vector_hashes_as_published_or_is_refused(vector: dict[str, str]) -> None:
    stored = (vector["task_path"], vector["args_text"], vector["kwargs_text"])
    if "refused" in vector:
        with pytest.raises(BadSpec):
            hash_document(*stored)
    else:
        assert sha256(vector["canonical"]) == vector["spec_hash"] == hash_document(*stored)


@pytest.mark.parametrize("vector", [v for v in VECTORS if "refused" not in v], ids=lambda vector: vector["name"])
def test_arguments_read_from_a_vector_make_a_spec_with_the_same_hash(vector: dict[str, str]) -> None:
    args, kwargs, spec_hash = parse_and_hash(vector["task_path"], vector["args_text"], vector["kwargs_text"])
    spec = make_spec(vector["task_path"], args, kwargs)
    assert spec.spec_hash == spec_hash
    assert json.loads(spec.args_json) == args
    assert json.loads(spec.kwargs_json) == kwargs


def test_the_given_document_of_the_canonicaliser_hashes_as_given() -> None:
    document = json.loads(PUBLISHED["canonicaliser"][0]["document_text"])
    assert sha256(canonical(document)) == PUBLISHED["canonicaliser"][0]["sha256"] == GIVEN_HASH


# Written out by hand


@pytest.mark.parametrize(
    ("args", "kwargs", "form"),
    [
        ([], {}, '{"args":[],"kwargs":{},"task_path":"a.b","v":1}'),
        ([10, 10.0, True], {}, '{"args":[10,0x4024000000000000,true],"kwargs":{},"task_path":"a.b","v":1}'),
        ([-0.0, 5e-324], {}, '{"args":[0x0000000000000000,0x0000000000000001],"kwargs":{},"task_path":"a.b","v":1}'),
        ([1e23, -1.5], {}, '{"args":[0x44b52d02c7e14af6,0xbff8000000000000],"kwargs":{},"task_path":"a.b","v":1}'),
        ([10**400], {}, '{"args":[1' + "0" * 400 + '],"kwargs":{},"task_path":"a.b","v":1}'),
        (
            ['"\\/\b\f\n\r\t\x01\x1f\x7f\u2028é😀'],
            {},
            '{"args":["\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\u2028é😀"],"kwargs":{},"task_path":"a.b","v":1}',
        ),
        (
            [None],
            {"\U0001f600": 1, "\uff5e": 2, "b": {"z": 1, "Z": 2}},
            '{"args":[null],"kwargs":{"b":{"Z":2,"z":1},"\uff5e":2,"\U0001f600":1},"task_path":"a.b","v":1}',
        ),
    ],
)
def test_the_hash_is_that_of_the_form_written_by_hand(args: list[Any], kwargs: dict[str, Any], form: str) -> None:
    assert make_spec("a.b", args, kwargs).spec_hash == sha256(form)


def test_ten_as_integer_float_text_and_true_have_four_hashes() -> None:
    assert len({make_spec("a.b", [value], {}).spec_hash for value in (10, 10.0, "10", True)}) == 4


def test_the_seed_is_the_first_eight_bytes_of_the_hash() -> None:
    assert seed(GIVEN_HASH) == 0x2D6721014757FA10
    assert seed("f" * 64) == 2**64 - 1


# What is stored


def test_texts_are_stored_compact_in_the_order_given_and_raw() -> None:
    spec = make_spec("a.b", [1e16, -0.0], {"b": "é", "a": [None, True]})
    assert (spec.args_json, spec.kwargs_json) == ("[1e+16,-0.0]", '{"b":"é","a":[null,true]}')


@given(st.lists(documents, max_size=4), st.dictionaries(st.text(), documents, max_size=4))
def test_what_is_stored_reads_back_equal_and_hashes_the_same(args: list[Any], kwargs: dict[str, Any]) -> None:
    try:
        spec = make_spec("a.b", args, kwargs)
    except InvalidArguments as refusal:
        assert "U+0000" in str(refusal) or "surrogate" in str(refusal)  # noqa: PT017
        return
    again = parse_and_hash("a.b", spec.args_json, spec.kwargs_json)
    assert again == (args, kwargs, spec.spec_hash)
    assert repr(again[:2]) == repr((args, kwargs))


@given(documents)
def test_a_document_with_a_float_is_written_as_one_without(document: Any) -> None:
    """The C encoder and the writer in Python are two ways to one form."""
    try:
        form = canonical(document)
    except InvalidArguments:
        return
    assert canonical([document, 0.5]) == f"[{form},0x3fe0000000000000]"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_the_bits_of_its_double(value: float) -> None:
    bits = 0 if value == 0 else struct.unpack(">Q", struct.pack(">d", value))[0]
    assert canonical(value) == f"0x{bits:016x}"


def test_subclasses_of_text_and_numbers_are_stored_by_value() -> None:
    class Colour(enum.StrEnum):
        RED = "red"

    class Level(enum.IntEnum):
        HIGH = 3

    class Metres(float):
        def __repr__(self) -> str:
            return "far"

    class Backwards(str):
        __slots__ = ()

        def __lt__(self, other: str) -> bool:
            return str.__gt__(self, other)

    odd = make_spec("a.b", [Colour.RED, Level.HIGH, Metres(1.5)], {Backwards("b"): 1, Backwards("a"): 2, Colour.RED: 3})
    plain = make_spec("a.b", ["red", 3, 1.5], {"b": 1, "a": 2, "red": 3})
    assert odd == plain
    assert type(odd.args_json) is str


def test_a_value_that_occurs_twice_is_no_cycle() -> None:
    row = {"id": 1}
    assert make_spec("a.b", [row, row, {"again": row}], {}) == make_spec(
        "a.b", [{"id": 1}, {"id": 1}, {"again": {"id": 1}}], {}
    )


def test_a_document_of_more_values_than_the_survey_counts_has_the_same_form() -> None:
    assert canonical([0] * ((1 << 20) + 1)) == "[" + "0," * (1 << 20) + "0]"


@pytest.mark.usefixtures("lowest_digit_limit")
def test_the_interpreters_lowest_digit_limit_changes_nothing() -> None:
    number = -(10**4299) - 17
    spec = make_spec("a.b", [number, 0.5], {"n": number})
    text = "-1" + "0" * 4297 + "17"
    assert (spec.args_json, spec.kwargs_json) == (f"[{text},0.5]", f'{{"n":{text}}}')
    assert parse_and_hash("a.b", spec.args_json, spec.kwargs_json) == ([number, 0.5], {"n": number}, spec.spec_hash)


@pytest.mark.usefixtures("no_digit_limit")
@pytest.mark.parametrize("args", [[10**4300], [-(10**4300)], [0.5, 10**4300]])
def test_an_interpreter_without_digit_limit_still_refuses_4301_digits(args: list[Any]) -> None:
    with pytest.raises(InvalidArguments, match="4,300 digits"):
        make_spec("a.b", args, {})
    with pytest.raises(BadSpec, match="4,300"):
        hash_document("a.b", "[1" + "0" * 4300 + "]", "{}")


# Refusals


class Opaque:
    """A type of which JSON knows nothing."""


def holding_itself() -> list[Any]:
    cycle: list[Any] = [1]
    cycle += [cycle, cycle]
    return cycle


@pytest.mark.parametrize(
    ("args", "kwargs", "path", "says"),
    [
        ([float("nan")], {}, "args[0]", "is nan"),
        ([{"items": [0, 0, 0, float("inf")]}], {}, "args[0].items[3]", "is inf"),
        ([], {"a b": float("-inf")}, 'kwargs["a b"]', "is -inf"),
        ([], {"a": "x\0"}, "kwargs.a", "U+0000 at character 1"),
        ([{"x\0": 1}], {}, 'args[0]["x\\u0000"]', "U+0000 at character 1"),
        (["ok", "\ud800"], {}, "args[1]", "lone surrogate (U+D800)"),
        ([], {"\udfff": 1}, 'kwargs["\\udfff"]', "lone surrogate (U+DFFF)"),
        ([0.5, "\udc00"], {}, "args[1]", "lone surrogate (U+DC00)"),
        ([{1: "a"}], {}, "args[0]", "key of type int"),
        ([{None: "a"}], {}, "args[0]", "key of type NoneType"),
        ([{"a": 1, 2: 3}], {}, "args[0]", "key of type int"),
        ([{10**5000: 1}], {}, "args[0]", "key of type int"),
        ([(1, 2)], {}, "args[0]", "type tuple"),
        ([b"x"], {}, "args[0]", "type bytes"),
        ([{"a": Opaque()}], {}, "args[0].a", "type Opaque"),
        ([], {"s": {1, 2}}, "kwargs.s", "type set"),
        ([holding_itself()], {}, "args[0][1]", "contains itself"),
        ([nested(99)], {"deep": nested(100)}, "kwargs.deep" + "[0]" * 99, "deeper than 100"),
        ([10**4300], {}, "args[0]", "4,300 digits"),
        ([], {"n": [0.5, -(10**5000)]}, "kwargs.n[1]", "4,300 digits"),
        ([10**500_000, 0.5], {}, "args[0]", "4,300 digits"),
        ([], {"k" * 50: float("nan")}, 'kwargs["' + "k" * 39 + '\\u2026"]', "is nan"),
    ],
)
def test_a_refusal_names_the_path_and_the_fault(args: list[Any], kwargs: dict[Any, Any], path: str, says: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        make_spec("a.b", args, kwargs)
    assert caught.value.path == path
    assert path in str(caught.value)
    assert says in str(caught.value)
    str(caught.value).encode()  # a message can be logged whatever it is about


@pytest.mark.parametrize(
    ("task_path", "args", "kwargs", "path"),
    [
        ("a.b", (), {}, "args"),
        ("a.b", None, {}, "args"),
        ("a.b", [], [], "kwargs"),
        (None, [], {}, "task_path"),
        ("a\0b", [], {}, "task_path"),
        ("a\ud800b", [], {}, "task_path"),
        ("a.b", [], {3: 4}, "kwargs"),
    ],
)
def test_a_part_of_the_wrong_kind_is_refused_by_its_name(task_path: Any, args: Any, kwargs: Any, path: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        make_spec(task_path, args, kwargs)
    assert caught.value.path == path


def test_nesting_of_exactly_one_hundred_levels_is_taken() -> None:
    spec = make_spec("a.b", nested(100), {})
    assert spec.args_json == "[" * 100 + "]" * 100
    assert canonical(nested(100)) == spec.args_json


def test_a_payload_over_the_bound_names_size_bound_and_remedy() -> None:
    with pytest.raises(InvalidArguments, match=r"13 bytes.*max_payload_bytes=12.*pass a reference"):
        make_spec("a.b", ["€", 123], {}, max_payload_bytes=12)
    assert make_spec("a.b", ["€", 12], {}, max_payload_bytes=12).args_json == '["€",12]'


def test_a_payload_of_many_shared_values_is_refused_before_it_is_written() -> None:
    bomb: list[Any] = ["lol"]
    for _ in range(90):
        bomb = [bomb] * 10
    with pytest.raises(InvalidArguments, match="max_payload_bytes"):
        make_spec("a.b", bomb, {})


@pytest.mark.parametrize("levels", [101, 1_000, 500_000])
def test_a_stored_text_nested_too_deep_is_a_bad_spec(levels: int) -> None:
    with pytest.raises(BadSpec, match="deeper than 100"):
        hash_document("a.b", "[" * levels + "]" * levels, "{}")


def test_of_equal_keys_in_a_stored_text_the_last_reaches_the_task() -> None:
    args, kwargs, _ = parse_and_hash("a.b", '[{"x":1,"x":{"y":[1],"y":2}}]', '{"a":1,"b":2,"a":3}')
    assert (args, kwargs) == ([{"x": {"y": 2}}], {"a": 3, "b": 2})
    assert type(kwargs) is dict


def test_stored_numbers_keep_the_kind_their_text_gives_them() -> None:
    args, _, _ = parse_and_hash("a.b", "[1,1.0,1e0,-0,-0.0]", "{}")
    assert [type(value) for value in args] == [int, float, float, int, float]


@pytest.mark.parametrize("length", [1, 599, 600, 601, 1_200, 4_299, 4_300])
def test_a_stored_integer_of_any_length_is_read_exactly(length: int) -> None:
    digits = "".join(random.Random(length).choices("123456789", k=length))
    assert parse_and_hash("a.b", f"[-{digits}]", "{}")[0] == [-int(digits)]


@pytest.mark.slow
def test_a_small_spec_costs_microseconds_not_milliseconds() -> None:
    from time import process_time
    from timeit import repeat

    call: dict[str, object] = {"user_id": 42, "notes": "hello", "flag": True}
    took = repeat(lambda: make_spec("app.tasks.send", [1, "x"], call), timer=process_time, number=1_000, repeat=5)
    assert min(took) / 1_000 < 100e-6  # measured: 12


@pytest.mark.parametrize("task_path", ["a.b", "é.b"])
@pytest.mark.parametrize(
    "args", [[], [1, "é", None], [True, '"\\\n\x1f\u2028'], [[1]], [1.0], [{"b": 1, "a": 2}], ["x" * 5000]]
)
@pytest.mark.parametrize("kwargs", [{}, {"a": 1, "b": "ü"}, {"b": 1, "a": 2}, {"a": [1]}, {"a": 1.0}])
def test_the_short_way_of_a_flat_call_gives_the_same_hash_as_the_stored_texts(task_path, args, kwargs):
    spec = make_spec(task_path, args, kwargs)
    assert spec.spec_hash == hash_document(task_path, spec.args_json, spec.kwargs_json)
    assert (json.loads(spec.args_json), json.loads(spec.kwargs_json)) == (args, kwargs)


@given(st.lists(flat, max_size=4), st.dictionaries(st.text(max_size=5), flat, max_size=4))
def test_the_short_way_writes_what_the_long_one_writes(args: list[Any], kwargs: dict[str, Any]) -> None:
    spec = flat_spec("a.b", tuple(args), kwargs, 1 << 20)
    if spec is None:
        assert "\0" in "".join([*kwargs, *(text for text in (*args, *kwargs.values()) if isinstance(text, str))])
    else:
        document = {"args": args, "kwargs": kwargs, "task_path": "a.b", "v": 1}
        assert spec == ("a.b", json_text(args), json_text(kwargs), sha256(canonical(document)), True)


def test_the_short_way_knows_its_bounds_and_leaves_them_to_the_long_one() -> None:
    assert flat_spec("a.b", ["x" * 100], {}, 1 << 20)
    for args in (["x" * 5000], [0] * 101, [1.0], [[]], [10**4300], [http.HTTPStatus.OK], {"a": 1}.keys()):
        assert flat_spec("a.b", args, {}, 1 << 20) is None
    assert flat_spec("a.b", ["x" * 100], {}, 400) is None


@pytest.mark.parametrize("text", ["\0", "\ud800"])
def test_the_short_way_leaves_every_refusal_to_the_long_one(text):
    for args, kwargs in (([text], {}), ([], {"a": text}), ([], {text: 1})):
        with pytest.raises(InvalidArguments):
            make_spec("a.b", args, kwargs)
