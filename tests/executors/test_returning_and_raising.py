"""What a task returns and raises arrives whole, or is named as what it was."""

import json

import pytest

from reproq.lifecycle import Failure, Kind, Success
from tests.executors.driver import Driver


def value_of(outcome: object) -> object:
    assert isinstance(outcome, Success), outcome
    return json.loads(outcome.return_json)


def failure_of(outcome: object) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1.0",
        "1e16",
        "-0.0",
        "true",
        '"ключ \U0001f980\u2028"',
        '{"b":1,"a":[]}',
        "12345678901234567890",
        "[[1],{}]",
    ],
)
def test_arguments_and_return_values_keep_their_types(tasks: Driver, text: str) -> None:
    found = value_of(tasks.run("echo", f"[{text}]").outcome)
    assert json.dumps(found) == json.dumps(json.loads(text))


def test_stored_texts_may_hold_white_space(tasks: Driver) -> None:
    assert value_of(tasks.run("echo", " [ 1 ,\n2 ] ", '\t{ "k" : 3 } ').outcome) == [[1, 2], {"k": 3}]


@pytest.mark.parametrize("what", ["large", "deep", "long integer", "unicode"])
def test_large_deep_and_odd_values_survive(tasks: Driver, what: str) -> None:
    assert isinstance(tasks.run("returns", f'["{what}"]').outcome, Success)


@pytest.mark.parametrize(("what", "value"), [("nul", '"a\\u0000b"'), ("surrogate", '"a\\ud800b"')])
def test_characters_that_a_database_refuses_travel_as_escapes(tasks: Driver, what: str, value: str) -> None:
    assert tasks.run("returns", f'["{what}"]').outcome == Success(value)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("nan", "JSON"),
        ("object", "not JSON serializable"),
        ("10MiB", "10,485,762 bytes of JSON, over the bound of 1,048,576"),
        ("too deep", "nested 900 deep, over the bound of 500"),
        ("too long integer", "limit"),
    ],
)
def test_a_value_that_cannot_be_stored_is_a_bad_return(tasks: Driver, what: str, text: str) -> None:
    failure = failure_of(tasks.run("returns", f'["{what}"]').outcome)
    assert (failure.kind, failure.exception_class) == (Kind.BAD_RETURN, "reproq.errors.BadReturn")
    assert "the task succeeded" in failure.message
    assert text in failure.message


def test_a_value_nested_without_end_is_a_bad_return(tasks: Driver) -> None:
    assert failure_of(tasks.run("deeply").outcome).kind == Kind.BAD_RETURN


def test_an_exception_arrives_with_class_message_and_traceback(tasks: Driver) -> None:
    failure = failure_of(tasks.run("raises", '["chained"]').outcome)
    assert (failure.kind, failure.exception_class) == (Kind.EXCEPTION, "builtins.LookupError")
    assert failure.message == "no such customer"
    assert "KeyError: 'missing'" in failure.traceback
    assert 'raise LookupError("no such customer") from error' in failure.traceback


@pytest.mark.parametrize(("what", "name"), [("exit", "SystemExit"), ("interrupt", "KeyboardInterrupt")])
def test_an_exception_that_would_end_a_process_is_a_failure_of_the_attempt(tasks: Driver, what: str, name: str) -> None:
    failure = failure_of(tasks.run("raises", f'["{what}"]').outcome)
    assert (failure.kind, failure.exception_class) == (Kind.EXCEPTION, f"builtins.{name}")


def test_an_exception_whose_text_cannot_be_made_is_told_all_the_same(tasks: Driver) -> None:
    failure = failure_of(tasks.run("raises", '["odd"]').outcome)
    assert failure.exception_class == "tasks.OddError"
    assert failure.message == "(str() of this OddError raised RuntimeError)"


def test_lone_surrogates_in_a_message_do_not_break_the_reply(tasks: Driver) -> None:
    failure = failure_of(tasks.run("raises", '["surrogates"]').outcome)
    assert failure.message == "caf\udce9 \0"
    assert failure.kind == Kind.EXCEPTION


def test_long_messages_are_shortened_and_recursion_is_an_exception(tasks: Driver) -> None:
    failure = failure_of(tasks.run("raises", '["long"]').outcome)
    assert failure.message.endswith("… (1,000,000 characters)")
    assert len(failure.traceback) < 140_000
    assert failure_of(tasks.run("raises", '["recursion"]').outcome).exception_class == "builtins.RecursionError"


def test_a_spec_that_was_tampered_with_is_not_run(tasks: Driver) -> None:
    ended = tasks.run("dies", '["exit"]', spec_hash="0" * 64)
    failure = failure_of(ended.outcome)
    assert (failure.kind, failure.exception_class) == (Kind.SPEC_TAMPERED, "reproq.errors.SpecTampered")
    assert "the task was not run" in failure.message
    assert ended.output.bytes_total == 0


@pytest.mark.parametrize(
    "args", ["[1e999]", "[1e-999]", '["a\\u0000"]', "[NaN]", "not json", "{}", "[" * 200 + "]" * 200]
)
def test_a_spec_outside_the_domain_of_the_hash_is_not_run(tasks: Driver, args: str) -> None:
    failure = failure_of(tasks.run("echo", args, spec_hash="0" * 64).outcome)
    assert (failure.kind, failure.exception_class) == (Kind.BAD_SPEC, "reproq.errors.BadSpec")


def test_a_payload_that_cannot_be_sent_is_a_bad_spec(tasks: Driver) -> None:
    failure = failure_of(tasks.run("echo", '["\ud800"]', spec_hash="0" * 64).outcome)
    assert failure.kind == Kind.BAD_SPEC
