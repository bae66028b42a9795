"""Frames: found wherever the bytes are split, and bounded."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproq.errors import ProtocolError
from reproq.frames import MAX_FRAME_BYTES, FrameBuffer, frame

MESSAGES = [b"", b"{}", b"x" * 300, b"\x00\x00\x00\x05", b"last"]


def test_frames_are_found_wherever_the_bytes_are_split() -> None:
    stream = b"".join(frame(message) for message in MESSAGES)
    for cut in range(len(stream) + 1):
        buffer = FrameBuffer()
        assert [*buffer.feed(stream[:cut]), *buffer.feed(stream[cut:])] == MESSAGES


def test_frames_are_found_byte_by_byte() -> None:
    buffer = FrameBuffer()
    stream = b"".join(frame(message) for message in MESSAGES)
    assert [message for byte in stream for message in buffer.feed(bytes([byte]))] == MESSAGES


@given(st.lists(st.binary(max_size=50), max_size=5), st.lists(st.integers(0, 300), max_size=6))
def test_frames_are_found_in_pieces_of_any_size(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(message) for message in messages)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    buffer = FrameBuffer()
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    assert [message for piece in pieces for message in buffer.feed(piece)] == messages


def test_a_reader_that_stops_between_two_messages_sees_each_once() -> None:
    buffer = FrameBuffer()
    assert next(buffer.feed(frame(b"first") + frame(b"second"))) == b"first"
    assert list(buffer.feed(b"")) == [b"second"]


def test_an_announced_length_over_the_bound_is_refused_before_its_bytes_come() -> None:
    with pytest.raises(ProtocolError, match="announces 101 bytes, over the bound of 100"):
        list(FrameBuffer(max_bytes=100).feed(struct.pack(">I", 101)))
    assert list(FrameBuffer(max_bytes=100).feed(frame(b"x" * 100))) == [b"x" * 100]


def test_a_message_over_the_bound_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="over the bound"):
        frame(bytes(MAX_FRAME_BYTES + 1))
