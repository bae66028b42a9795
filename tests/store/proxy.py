"""A port of this host that leads to the test's server once `listen` is called, and what networks do to connections:
they break, fall silent, are slow, or lose the one answer that mattered."""

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from enum import Enum, auto

from psycopg import conninfo

from tests.store.conversation import Conversation, Said


class Fate(Enum):
    """What becomes of a message of the client's: it passes, or the connection breaks before it or its answer."""

    PASS = auto()
    CUT = auto()
    LOSE_ANSWER = auto()


class Proxy:
    """Bound at once, so that the port is ours; connections are refused until `listen`, and closed at once while the
    server cannot be reached. `fate` decides what becomes of each message."""

    def __init__(self, dsn: str) -> None:
        self._parts = conninfo.conninfo_to_dict(dsn)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.dsn = conninfo.make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
        self.fate: Callable[[bytes], Fate] = lambda message: Fate.PASS
        self.flows = threading.Event()
        self.flows.set()
        self.delay_seconds = 0.0
        self.delayed = 0
        self.lost: Counter[Said] = Counter()
        """How many answers have been swallowed, each after the server had committed what it acknowledged."""
        self._wishes: Counter[Said] = Counter()
        self._lock = threading.Lock()
        self._lines: list[_Line] = []

    def listen(self) -> None:
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.flows.set()
        _shut(self._listener)
        self._listener.close()
        for line in self._lines:
            line.end()

    # -- what happens to all connections ------------------------------------------------------------------------------

    def freeze(self) -> None:
        """From now on every packet vanishes on its way, as where a cable was pulled: nobody is told."""
        self.flows.clear()

    def thaw(self) -> None:
        """What is sent arrives again, and what was held up, too."""
        self.flows.set()

    def cut(self) -> int:
        """Break the connections that are open; both sides are told. Returns how many there were."""
        return sum(line.end() for line in self._lines)

    def silence(self, seconds: float) -> int:
        """What is sent over the connections that are open vanishes from now on, and so does their end; the server gives
        its side up after so long. New ones are not touched. Returns how many there were."""
        return sum(line.silence(seconds) for line in self._lines)

    @property
    def accepted(self) -> int:
        """How many connections are open, as far as is known here."""
        return sum(line.is_open for line in self._lines)

    def lose_answer(self, said: Said) -> None:
        """Break the next connection whose answer acknowledges this, in place of the answer."""
        self._wishes[said] += 1

    @property
    def wishes(self) -> int:
        """How many answers are still to be lost."""
        return self._wishes.total()

    def forget_wishes(self) -> None:
        """No answer is to be lost any more."""
        self._wishes.clear()

    # -- what a connection asks ---------------------------------------------------------------------------------------

    def awaits(self, said: set[Said]) -> bool:
        """Whether one of these answers is to be lost."""
        return any(self._wishes[one] > 0 for one in said)

    def swallows(self, said: set[Said]) -> bool:
        """Whether the answer that acknowledges these is lost; then it is counted."""
        with self._lock:
            chosen = next((one for one in said if self._wishes[one] > 0), None)
            if chosen is not None:
                self._wishes[chosen] -= 1
                self.lost[chosen] += 1
        return chosen is not None

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                line = _Line(self, client, self._server())
            except OSError:
                client.close()
            else:  # known here before anything passes: whoever has had an answer can break the line it came by
                self._lines = [known for known in self._lines if known.is_open] + [line]
                line.start()

    def _server(self) -> socket.socket:
        host, port = str(self._parts.get("host") or "localhost"), str(self._parts.get("port") or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(f"{host}/.s.PGSQL.{port}")
        except OSError:
            connection.close()
            raise
        return connection


class _Line:
    """One connection through the proxy, and the threads that pass its bytes on."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.is_open = True
        self._proxy = proxy
        self._client = client
        self._server = server
        self._said = Conversation()
        self._loses_answer = threading.Event()
        self._silent = threading.Event()

    def start(self) -> None:
        """Begin to pass on."""
        asks = threading.Thread(target=self._ask, daemon=True)
        answers = threading.Thread(target=self._answer, daemon=True)
        for one in (asks, answers):
            one.start()
        threading.Thread(target=self._clear_away, args=[asks, answers], daemon=True).start()

    def _clear_away(self, *ways: threading.Thread) -> None:
        for way in ways:
            way.join()
        self.is_open = False
        self._client.close()
        self._server.close()

    def end(self) -> bool:
        """Break it; whether it was open."""
        was_open, self.is_open = self.is_open, False
        for side in (self._client, self._server):
            _shut(side)
        return was_open

    def silence(self, seconds: float) -> bool:
        """Swallow everything until the server gives up; whether it was open."""
        if self.is_open:
            self._silent.set()
            timer = threading.Timer(seconds, self.end)
            timer.daemon = True
            timer.start()
        return self.is_open

    def _ask(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(65536):
                self._hold_up()
                if self._silent.is_set():
                    continue
                match self._proxy.fate(data):
                    case Fate.CUT:
                        self.end()
                        return
                    case Fate.LOSE_ANSWER:
                        self._loses_answer.set()
                self._said.asks(data)
                self._server.sendall(data)
        self._hang_up(self._server)

    def _answer(self) -> None:
        held = b""
        with contextlib.suppress(OSError):
            while data := self._server.recv(65536):
                self._proxy.flows.wait()
                stored = self._said.answers(data)
                held += data
                if self._proxy.awaits(self._said.in_question):
                    continue  # only its end tells whether this is the answer that is to be lost
                if self._loses_answer.is_set() or self._proxy.swallows(stored):
                    self.end()
                    return
                if not self._silent.is_set():
                    self._client.sendall(held)
                held = b""
        self._hang_up(self._client)

    def _hold_up(self) -> None:
        if self._proxy.delay_seconds:
            self._proxy.delayed += 1
            time.sleep(self._proxy.delay_seconds)
        self._proxy.flows.wait()

    def _hang_up(self, other: socket.socket) -> None:
        """One side has ended; the other hears of it, unless nothing is heard any more."""
        if self._silent.is_set():
            return
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)


def _shut(side: socket.socket) -> None:
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
