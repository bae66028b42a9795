"""What a worker and its template say to each other: small packets on one SOCK_SEQPACKET pair, both ends in one file.

A packet is a letter, the run's number, and what the letter needs; descriptors travel beside it. The order is the
point: FORK, FORKED with the child's pidfd, (the payload; the child runs and ends), REAP, REAPED. Until REAP the dead
child keeps its pid, so the worker can kill its group without ever meeting a stranger's.
"""

import json
import socket
import struct
from enum import Enum
from typing import Final, NamedTuple

from reproq.errors import ProtocolError

_PACKET: Final = struct.Struct("!cIi")
PACKET_BYTES: Final = 65536
ORDER_BYTES: Final = _PACKET.size
"""What a template has to expect: FORK and REAP hold no text."""
MAX_TEXT_BYTES: Final = 32768
MAX_DESCRIPTORS: Final = 3


class Verb(bytes, Enum):
    """The letters. The worker says FORK and REAP, the template the others."""

    FORK = b"F"  # with the child's ends of its channel and of its output pipe; for many runs, with their tickets too
    REAP = b"R"
    READY = b"K"  # with warnings
    BROKEN = b"X"  # with the traceback of the setup; the template ends
    FORKED = b"f"  # number = pid, with the pidfd
    REFUSED = b"n"  # with the reason: the system would not fork
    REAPED = b"r"  # number = the wait status


_VERBS: Final = {verb.value: verb for verb in Verb}
_DESCRIPTOR: Final = struct.Struct("i")
_DESCRIPTORS_ROOM: Final = socket.CMSG_SPACE(MAX_DESCRIPTORS * _DESCRIPTOR.size)
_SOL_SOCKET: Final = int(socket.SOL_SOCKET)
_SCM_RIGHTS: Final = int(socket.SCM_RIGHTS)
_CLOEXEC: Final = int(socket.MSG_CMSG_CLOEXEC)


class Packet(NamedTuple):
    """One thing said. `run` is the worker's number for a fork, `value` what the verb says it is."""

    verb: Verb
    run: int = 0
    value: int = 0
    text: str = ""
    descriptors: tuple[int, ...] = ()

    def encode(self) -> bytes:
        text = self.text.encode("utf-8", "backslashreplace")[-MAX_TEXT_BYTES:]
        return _PACKET.pack(self.verb, self.run, self.value) + text


def decode(data: bytes, descriptors: tuple[int, ...] = ()) -> Packet:
    """Read one packet; raise ProtocolError for anything else."""
    try:
        letter, run, value = _PACKET.unpack_from(data)
        verb = _VERBS[letter]
    except (struct.error, KeyError):
        raise ProtocolError(f"not a control packet: {data[:40]!r}") from None
    return Packet(verb, run, value, data[_PACKET.size :].decode("utf-8", "replace"), descriptors)


# `socket.send_fds` and `recv_fds` would import a module at each call. In a template, what Python touches between two
# forks is a page that is copied once more.


def send(control: socket.socket, packet: Packet) -> None:
    """Say one thing, whole or (BlockingIOError) not at all."""
    if packet.descriptors:
        rights = b"".join(map(_DESCRIPTOR.pack, packet.descriptors))
        control.sendmsg([packet.encode()], [(_SOL_SOCKET, _SCM_RIGHTS, rights)])
    else:
        control.send(packet.encode())


def receive(control: socket.socket, longest_bytes: int = PACKET_BYTES) -> Packet | None:
    """The next packet, its descriptors closed on exec; None when the other end is gone.

    Raises BlockingIOError when nothing is there, and ProtocolError.
    """
    data, ancillary, _, _ = control.recvmsg(longest_bytes, _DESCRIPTORS_ROOM, _CLOEXEC)
    if not data:
        return None
    return decode(data, _descriptors_in(ancillary) if ancillary else ())


def _descriptors_in(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, ...]:
    found: list[int] = []
    for level, kind, rights in ancillary:
        if level == _SOL_SOCKET and kind == _SCM_RIGHTS:
            found += [number for (number,) in _DESCRIPTOR.iter_unpack(rights)]
    return tuple(found)


def warnings_text(warnings: list[str]) -> str:
    """The warnings of READY as text that one packet holds; what does not fit is counted in their place."""
    kept = warnings[:10]
    if len(warnings) > len(kept):
        kept.append(f"and {len(warnings) - len(kept)} more warnings")
    for length in (2_000, 250):  # JSON takes up to twelve bytes for a character
        if len(text := json.dumps([warning[:length] for warning in kept])) <= MAX_TEXT_BYTES:
            break
    return text


def warnings_of(packet: Packet) -> list[str]:
    """The warnings that a READY packet holds."""
    return [str(warning) for warning in json.loads(packet.text or "[]")]
