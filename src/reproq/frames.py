"""Messages in a stream of bytes, as they travel between a worker and a child. It refuses to know what is in one.

A message on a private descriptor is a frame: four bytes of length, big-endian, then that many bytes of JSON.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from reproq.errors import ProtocolError

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
_LENGTH: Final = struct.Struct(">I")


def frame(body: bytes) -> bytes:
    """`body` with its length in front."""
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"a message of {len(body)} bytes is over the bound of {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


def sole_message(data: bytes) -> bytes | None:
    """The message whose frame `data` is, from its first byte to its last; None for anything else."""
    size = _LENGTH.size
    is_whole = len(data) >= size and _LENGTH.unpack_from(data)[0] == len(data) - size
    return data[size:] if is_whole else None


@dataclass(slots=True)
class LineBuffer:
    """The reply of a cold child: one line that holds one object. Refuses what begins otherwise, or does not end."""

    max_bytes: int = MAX_FRAME_BYTES
    _data: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The line without its end, once that is here; nothing is read after it."""
        self._data += data
        if not self._data.startswith(b"{"):
            raise ProtocolError(f"a reply begins with {{, this with {bytes(self._data[:40])!r}")
        line, end, _ = self._data.partition(b"\n")
        if len(line) > self.max_bytes:
            raise ProtocolError(f"a reply of {len(line)} bytes and more is over the bound of {self.max_bytes}")
        if end:
            yield bytes(line)


@dataclass(slots=True)
class FrameBuffer:
    """Collects bytes as they come and yields whole messages; refuses a length over the bound before storing it."""

    max_bytes: int = MAX_FRAME_BYTES
    _data: bytearray = field(default_factory=bytearray)

    @property
    def is_within(self) -> bool:
        """Whether the beginning of a message has come, and not its end."""
        return bool(self._data)

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._data += data
        while len(self._data) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._data)
            if length > self.max_bytes:
                raise ProtocolError(f"a message announces {length} bytes, over the bound of {self.max_bytes}")
            end = _LENGTH.size + length
            if len(self._data) < end:
                return
            message = bytes(self._data[_LENGTH.size : end])
            del self._data[:end]  # before the yield: a reader that stops here must not see it again
            yield message
