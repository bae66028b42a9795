"""What an attempt printed, as far as it is kept: the first bytes and the last, and their texts for a log."""

import codecs
from dataclasses import dataclass
from typing import Final

_DECODER: Final = codecs.getincrementaldecoder("utf-8")
_LONGEST_REST: Final = 3
"""Bytes of a UTF-8 character after its first."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a run printed: the first and the last bytes within the cap, and how many there were in all."""

    head: bytes = b""
    tail: bytes = b""
    bytes_total: int = 0

    @property
    def bytes_kept(self) -> int:
        """How many of the bytes are here."""
        return len(self.head) + len(self.tail)

    @property
    def last_text(self) -> str:
        """The end of the output as text, undecodable bytes shown as escapes."""
        return self.texts[1] or self.texts[0]

    @property
    def texts(self) -> tuple[str, str]:
        """Head and tail, undecodable bytes shown as escapes. An output that is kept whole is all head; where something
        was cut out, so is the rest of the character that the cut went through."""
        if self.bytes_kept == self.bytes_total:
            return _text(self.head + self.tail), ""
        return _DECODER("backslashreplace").decode(self.head), _text(_whole_characters(self.tail))


NOTHING: Final = Output()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _whole_characters(data: bytes) -> bytes:
    rest = 0
    while rest < min(_LONGEST_REST, len(data)) and data[rest] & 0xC0 == 0x80:
        rest += 1
    return data[rest:]
