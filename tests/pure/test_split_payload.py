"""The child gets the stored texts of its arguments back exactly, since its hash tells `1` from `1.0`."""

import pytest

from reproq.child.payload import read_message
from reproq.errors import ProtocolError
from reproq.lifecycle import Kind
from reproq.wire import split_payload

HEAD = '{"v":1,"task_path":"shop.tasks.bill","worker_ids":["a\\",\\"args\\":b"]'


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ("[]", "{}"),
        ("[1.0,1e16,-0.0]", '{"a":1,"a":2}'),
        (' [ 1 ] ', '\n{ "x" : [] }\t'),
        ('[{"args":[1],"kwargs":{"errors":[]}}]', '{"kwargs":{"args":"}"},"errors":","}'),
        ('["\\ud800 \\" ,\\"kwargs\\":"]', '{"ключ":"\u2028"}'),
    ],
)  # fmt: skip
def test_the_texts_of_args_and_kwargs_come_back_untouched(args: str, kwargs: str) -> None:
    body = f'{HEAD},"args":{args},"kwargs":{kwargs},"errors":[{{"kind":"exception"}}]}}'.encode()
    message, found_args, found_kwargs = split_payload(body)
    assert (found_args.strip(), found_kwargs.strip()) == (args.strip(), kwargs.strip())
    assert message == {
        "v": 1,
        "task_path": "shop.tasks.bill",
        "worker_ids": ['a","args":b'],
        "errors": [{"kind": "exception"}],
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"v":1,"args":[],"errors":[]}',
        b'{"v":1,"args":[,"kwargs":{"a":1},"errors":[]}',
        b'{"v":2,"args":[],"kwargs":{},"errors":[]}',
        b'{"v":1,"args":' + b"[" * 200_000 + b',"kwargs":{"a":1},"errors":[]}',
    ],
)
def test_anything_else_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        split_payload(body)


@pytest.mark.parametrize("args", [b"[", b"[" * 200_000, b"[1],[2]", b"", b'[1],"kwargs":{"a":1'])
def test_arguments_that_are_not_one_value_are_never_run(args: bytes) -> None:
    body = b'{"v":1,"task_path":"a.b","spec_hash":"","args":' + args + b',"kwargs":{},"errors":[]}'
    message, refusal = read_message(body)
    assert (message, refusal and refusal.kind) == ({}, Kind.BAD_SPEC)
