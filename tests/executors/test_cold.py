"""`python -m …executor` by hand: payload by stdin or `--payload`, one line of stdout, exit codes 0, 1 and 2."""

import json
import subprocess
import sys
from typing import Any

import pytest

from reproq.child.by_hand import whole_payload
from reproq.wire import split_payload
from tests.executors.conftest import environment
from tests.executors.driver import payload


def cold(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "cold", *arguments]
    return subprocess.run(command, input=stdin, env=environment(), capture_output=True, timeout=30, check=False)


def reply_of(result: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    (line,) = result.stdout.splitlines()
    reply = json.loads(line)
    assert isinstance(reply, dict)
    return reply


def test_a_whole_payload_on_stdin_is_answered_on_stdout() -> None:
    result = cold(stdin=payload("tasks.echo", "[1.0]").encode())
    reply = reply_of(result)
    assert (result.returncode, reply["ok"], reply["return"]) == (0, True, 1.0)
    assert set(reply) == {"ok", "return", "started_s", "elapsed_s"}


def test_a_payload_as_an_argument_needs_no_more_than_a_task() -> None:
    result = cold("--payload", '{"task_path": "tasks.echo", "args": [1, "\u00e9"], "kwargs": {"b": null}}')
    assert reply_of(result)["return"] == [[1, "\u00e9"], {"b": None}]


def test_a_failure_is_exit_code_1_with_its_reply() -> None:
    result = cold("--payload", '{"task_path": "tasks.raises", "args": ["value"]}')
    reply = reply_of(result)
    assert (result.returncode, reply["ok"], reply["kind"]) == (1, False, "exception")
    assert (reply["exception_class"], reply["message"]) == ("builtins.ValueError", "no such thing")
    assert "Traceback" in reply["traceback"]


def test_what_is_printed_goes_to_stderr_alone() -> None:
    result = cold("--payload", '{"task_path": "tasks.prints_everywhere"}')
    assert reply_of(result)["return"] == "genuine"
    assert b"forged by print" in result.stderr
    assert b"from a grandchild" in result.stderr


def test_a_wrong_hash_is_found_here_too() -> None:
    result = cold("--payload", json.dumps({"task_path": "tasks.echo", "args": [1], "spec_hash": "0" * 64}))
    assert (result.returncode, reply_of(result)["kind"]) == (1, "spec_tampered")


@pytest.mark.parametrize("task", ['"tasks.echo", "args": [1e999]', '"tasks.echo", "args": {}', '"tasks.echo\\u0000"'])
def test_what_the_hash_does_not_cover_is_a_bad_spec(task: str) -> None:
    result = cold("--payload", f'{{"task_path": {task}}}')
    assert (result.returncode, reply_of(result)["kind"]) == (1, "bad_spec")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("not json", "it is no JSON (Expecting value: line 1 column 1 (char 0)): 'not json'; give one object such as"),
        ('{"task_path": "tasks.ec', "it is no JSON (Unterminated string"),
        ("", "it is no JSON (Expecting value"),
        ("[1]", "it is a JSON list, not an object; give one such as"),
        ("{}", "it names no task_path; give one object such as"),
        ('{"task_path": "tasks.echo", "v": 2}', "it is of version 2; this program reads version 1"),
    ],
)
def test_what_is_no_payload_is_bad_usage(given: str, reason: str) -> None:
    result = cold("--payload", given)
    assert (result.returncode, result.stdout) == (2, b"")
    assert f"python -m cold: --payload holds no payload: {reason}" in result.stderr.decode()


def test_a_bad_stdin_is_bad_usage_and_named() -> None:
    result = cold(stdin=b"\xff\xfe")
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"python -m cold: stdin holds no payload: it is no JSON" in result.stderr


def test_a_project_that_cannot_be_imported_fails_the_run_with_its_reason() -> None:
    code = """
from reproq.child.cold import main
def setup():
    print("importing")
    import a_module_that_nobody_has_written
main(setup, "test")
"""
    command = [sys.executable, "-c", code, "--payload", '{"task_path": "tasks.echo"}']
    result = subprocess.run(command, env=environment(), capture_output=True, timeout=30, check=False)
    reply = reply_of(result)
    assert (result.returncode, reply["exception_class"]) == (1, "builtins.ModuleNotFoundError")


def test_a_workers_payload_is_passed_on_byte_for_byte() -> None:
    body = payload("tasks.echo", '[ 1.0, {"b":1,"b":2} ]').encode()
    assert whole_payload(body) is body


def test_a_short_payload_is_made_whole() -> None:
    message, args, kwargs = split_payload(whole_payload(b'{"args":[1.50],"task_path":"t.a","queue_name":"mail"}'))
    assert (args, kwargs, message["queue_name"], message["attempt"]) == ("[1.5]", "{}", "mail", 1)
    assert message["seed"] == int(message["spec_hash"][:16], 16)
