"""Listens to one client of PostgreSQL and its server, and knows what an answer that comes back acknowledges: a claim,
an end, an enqueue, by its own statement or by the COMMIT behind it. It changes nothing of what is said.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final


class Said(StrEnum):
    """What a client asks that a test may want to know of."""

    CLAIM = "claim"
    FINALIZE = "finalize"
    ENQUEUE = "enqueue"


MARKS: Final[dict[Said, tuple[bytes, ...]]] = {
    Said.CLAIM: (b"attempts = attempts + 1",),
    Said.FINALIZE: (b"THEN trim_array(run.worker_ids, 1)",),
    Said.ENQUEUE: (b"CALL reproq_insert_run(", b"INSERT INTO task_runs ("),
}
"""Words of a statement that stand in no other."""


def said_in(text: bytes) -> Said | None:
    """Which of them a statement is."""
    return next((said for said, marks in MARKS.items() if any(mark in text for mark in marks)), None)


class Conversation:
    """Fed with the bytes of both directions, in pieces of any size. A question is fed before it is passed on, so that
    it is known when its answer comes."""

    def __init__(self) -> None:
        self._asked = b""
        self._answered = b""
        self._has_started = False
        self._prepared: dict[bytes, Said | None] = {}
        self._in_statement: set[Said] = set()
        self._in_transaction: set[Said] = set()
        self._tag = b""
        self._failed = False
        self._is_open = False

    @property
    def in_question(self) -> set[Said]:
        """What the answer that is still to be completed may acknowledge; nothing while none is."""
        return self._in_statement | self._in_transaction if self._is_open else set()

    def asks(self, data: bytes) -> None:
        """The client says this."""
        self._asked += data
        if not self._has_started and len(self._asked) >= 4:
            length = int.from_bytes(self._asked[:4])
            if len(self._asked) < length:
                return
            self._asked, self._has_started = self._asked[length:], True
        messages, self._asked = _messages(self._asked) if self._has_started else ([], self._asked)
        for kind, body in messages:
            self._hear_client(kind, body)

    def answers(self, data: bytes) -> set[Said]:
        """The server says this. Returns what it acknowledges: what has changed rows, and is committed."""
        self._answered += data
        messages, self._answered = _messages(self._answered)
        return {said for kind, body in messages for said in self._hear_server(kind, body)}

    def _hear_client(self, kind: bytes, body: bytes) -> None:
        said = None
        match kind:
            case b"P":
                name, text, _ = body.split(b"\0", 2)
                self._prepared[name] = said_in(text)
            case b"B":
                said = self._prepared.get(body.split(b"\0", 2)[1])
            case b"Q":
                said = said_in(body)
        self._in_statement |= {said} if said else set()
        self._is_open |= kind in b"QS"

    def _hear_server(self, kind: bytes, body: bytes) -> Iterator[Said]:
        match kind:
            case b"C":
                self._tag = body.rstrip(b"\0")
            case b"E":
                self._failed = True
            case b"Z":
                yield from self._at_rest(body)

    def _at_rest(self, status: bytes) -> set[Said]:
        changed = set() if self._failed or self._tag.endswith(b" 0") else self._in_statement
        if status == b"I":
            stored = changed | (self._in_transaction if self._tag == b"COMMIT" else set())
            self._in_transaction = set()
        else:
            self._in_transaction |= changed
            stored = set()
        self._in_statement, self._failed, self._is_open, self._tag = set(), False, False, b""
        return stored


def _messages(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The complete messages, each its kind and its body, and the rest."""
    found = []
    while len(data) >= 5 and len(data) >= (end := 1 + int.from_bytes(data[1:5])):
        found.append((data[:1], data[5:end]))
        data = data[end:]
    return found, data
