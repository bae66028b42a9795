"""What a run prints is its log: captured from everywhere, bounded, and never mistaken for the reply."""

import json
import resource

import pytest

from reproq.executors.output import Capture
from reproq.lifecycle import Success
from tests.executors.driver import Driver

CAP_BYTES = 65536


@pytest.mark.lesson("print-or-c-level-output-that-corrupts-the-reply")
def test_output_from_everywhere_is_captured_and_cannot_fake_the_reply(tasks: Driver) -> None:
    ended = tasks.run("prints_everywhere")
    assert ended.outcome == Success('"genuine"')
    for piece in (b"forged by print", b"to stderr", b'{"ok":true,"return":1}', b"from puts", b"without a newline",
                  b" and unflushed", b"from a grandchild", b"\xff\xfe not utf-8"):  # fmt: skip
        assert piece in ended.output.head + ended.output.tail
    assert "\\xff\\xfe not utf-8" in ended.output.last_text


@pytest.mark.lesson("64-kib-pipe-deadlock")
@pytest.mark.parametrize("size", [65536, 204_800, 10 << 20])
@pytest.mark.parametrize("how", ["print", "grandchild"])
def test_a_flood_of_output_blocks_nothing_and_is_kept_within_the_cap(ours: Driver, size: int, how: str) -> None:
    ended = ours.run("floods", f'[{size},"{how}"]')
    assert ended.outcome == Success('"done"')
    assert ended.output.bytes_total >= size
    assert len(ended.output.head) + len(ended.output.tail) == CAP_BYTES
    assert ended.output.tail.endswith(b"the end\n")
    assert ended.output.last_text.endswith("the end\n")


def test_a_flood_is_flat_in_the_workers_memory() -> None:
    capture = Capture(CAP_BYTES)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1600):
        capture.add(b"z" * 65536)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096
    assert capture.output().bytes_total == 1600 * 65536


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 1000])
def test_head_and_tail_are_the_two_ends(size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    capture = Capture(10)
    for start in range(0, size, 7):
        capture.add(data[start : start + 7])
    output = capture.output()
    whole = output.head + output.tail
    assert output.bytes_total == size
    assert whole == data if size <= 10 else (output.head, output.tail) == (data[:5], data[-5:])


def test_a_quiet_run_has_no_output(ours: Driver) -> None:
    assert ours.run("echo", "[1]").output.bytes_total == 0


def test_standard_streams_are_lines_of_utf8(tasks: Driver) -> None:
    outcome = tasks.run("environment").outcome
    assert isinstance(outcome, Success)
    assert json.loads(outcome.return_json)["encoding"] == "utf-8"
