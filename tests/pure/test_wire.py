"""Payloads and replies: round trips, bounds, and garbage that is always a ProtocolError."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproq import wire
from reproq.errors import ProtocolError
from reproq.lifecycle import Failure, Kind, Success
from reproq.wire import REPLY_KINDS, Payload, Reply, decode_reply, split_payload

PAYLOAD = Payload(
    run_id=41,
    result_id="41-00000000000000ff",
    backend="default",
    attempt=2,
    max_attempts=3,
    task_path="app.tasks.add",
    args_json='[1, 1.0, 1e16, "\\u0000 \u2028 \U0001f600"]',
    kwargs_json='{"b": -0.0, "a": null}',
    spec_hash="ab" * 32,
    queue_name="default",
    priority=-5,
    run_after=None,
    enqueued_at="2030-01-01T12:00:00+00:00",
    started_at=None,
    last_attempted_at=None,
    worker_ids=("w-1", 'w-"2"'),
    errors_json='[{"kind": "exception"}]',
    timeout_seconds=900.0,
    seed=2**63,
)
KEYS = {
    *("v", "run_id", "result_id", "backend", "attempt", "max_attempts", "task_path", "args", "kwargs", "spec_hash"),
    *("queue_name", "priority", "run_after", "enqueued_at", "started_at", "last_attempted_at", "worker_ids", "errors"),
    *("timeout_seconds", "seed"),
}
"""Contract 4."""

numbers = st.floats(0, 1e9)
texts = st.text(st.characters(exclude_categories=()), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
failures = st.builds(
    Failure,
    kind=st.sampled_from(sorted(REPLY_KINDS)),
    exception_class=texts,
    message=texts,
    traceback=texts,
)
replies = st.builds(
    Reply,
    outcome=values.map(lambda value: Success(json.dumps(value, separators=(",", ":")))) | failures,
    started_s=st.none() | numbers,
    elapsed_s=st.none() | numbers,
)


# Payloads


def test_a_payload_is_one_json_object_with_the_keys_of_the_contract() -> None:
    message = json.loads(PAYLOAD.encode())
    assert set(message) == KEYS
    assert message["v"] == 1
    assert message["worker_ids"] == ["w-1", 'w-"2"']
    assert message["errors"] == [{"kind": "exception"}]


def test_a_payload_holds_the_stored_texts_byte_for_byte() -> None:
    encoded = PAYLOAD.encode()
    assert PAYLOAD.args_json.encode() in encoded
    assert PAYLOAD.kwargs_json.encode() in encoded


@given(texts, values)
def test_any_text_in_a_payload_stays_one_json_object(text: str, value: object) -> None:
    message = json.loads(PAYLOAD._replace(queue_name=text, args_json=json.dumps([value])).encode())
    assert message["queue_name"] == text
    assert message["args"] == [value]


def test_payloads_that_share_a_beginning_share_nothing_that_a_reader_could_change() -> None:
    body = PAYLOAD._replace(kwargs_json="{}", errors_json="[]").encode()
    first, second = split_payload(body)[0], split_payload(body)[0]
    assert first == second
    first["worker_ids"].append("w-3")
    first["errors"].append({})
    first["priority"] = 7
    assert split_payload(body)[0] == second


@given(texts, texts)
def test_a_payload_is_read_as_it_was_written(task_path: str, worker_id: str) -> None:
    sent = PAYLOAD._replace(task_path=task_path, worker_ids=(worker_id, ',"run_id":1'), kwargs_json="{}")
    message, args_json, kwargs_json = split_payload(sent.encode())
    assert (args_json, kwargs_json) == (sent.args_json, "{}")
    whole = json.loads(sent.encode())
    assert message == {name: value for name, value in whole.items() if name not in ("args", "kwargs")}


# Replies


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 4.7e-05, 5e-05, 0.25, 81023.123456789, 99999999999.0])
def test_a_success_of_any_length_is_read_on_the_short_way(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    body = Reply(Success('{"a":[1]}'), seconds, seconds).encode()
    monkeypatch.setattr(wire, "_number", None)  # which only the long way calls
    assert decode_reply(body) == Reply(Success('{"a":[1]}'), seconds, seconds)


@given(replies)
def test_a_reply_comes_back_as_it_was(reply: Reply) -> None:
    assert decode_reply(reply.encode()) == reply


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"9" * 5000, "not JSON"),
        (b"[]", "no object"),
        (b"null", "no object"),
        (b"{}", "no object"),
        (b'{"ok":1}', "no object"),
        (b'{"ok":true}', "no `return`"),
        (b'{"ok":false,"kind":"lease_expired"}', "the kind 'lease_expired'"),
        (b'{"ok":false,"kind":[]}', r"the kind \[\]"),
        (b'{"ok":false,"kind":{}}', r"the kind \{\}"),
        (b'{"ok":false,"kind":null}', "the kind None"),
        (b'{"ok":true,"return":1,"started_s":"now"}', "`started_s` is 'now'"),
        (b'{"ok":true,"return":1,"elapsed_s":true}', "`elapsed_s` is True"),
        (b'{"ok":true,"return":1,"elapsed_s":NaN}', "`elapsed_s` is nan"),
        (b'{"ok":true,"return":1,"started_s":1e999}', "`started_s` is inf"),
        (b'{"ok":true,"return":1,"started_s":1e18}', "`started_s` is 1e"),
        (b'{"ok":true,"return":1,"started_s":-1}', "`started_s` is -1"),
        (b'{"ok":true,"return":1,"started_s":' + b"9" * 400 + b"}", "`started_s` is 999"),
    ],
)
def test_a_reply_that_breaks_the_protocol_is_named(body: bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        decode_reply(body)


def test_a_complaint_about_a_large_reply_is_short() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_reply(json.dumps({"ok": False, "kind": "x" * 1_000_000}).encode())
    assert len(str(caught.value)) < 500


def test_a_failure_without_a_kind_is_an_exception() -> None:
    assert decode_reply(b'{"ok":false}').outcome == Failure(Kind.EXCEPTION, "", "")


def test_a_value_that_json_does_not_have_is_handed_on_for_the_database_to_refuse() -> None:
    assert decode_reply(b'{"ok":true,"return":[NaN,1e999]}').outcome == Success("[NaN,Infinity]")


json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ok", "kind", "return", "started_s", "message"]) | st.text(max_size=3), inner, max_size=5
        )
    ),
    max_leaves=8,
)


@given(st.binary(max_size=50) | json_like.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_a_reply_or_a_protocol_error_and_nothing_else(body: bytes) -> None:
    with suppress(ProtocolError):
        assert isinstance(decode_reply(body), Reply)


@pytest.mark.parametrize("depth", [500, 2_000, 9_000, 100_000])
def test_a_value_of_any_depth_is_a_reply_or_a_protocol_error(depth: int) -> None:
    with suppress(ProtocolError):
        decode_reply(b'{"ok":true,"return":' + b"[" * depth + b"]" * depth + b"}")
