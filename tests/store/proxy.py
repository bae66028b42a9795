"""A port of this host that nobody listens on until `listen` is called; then it leads to the test's server."""

import contextlib
import socket
import threading
from collections.abc import Callable
from enum import Enum, auto

from psycopg import conninfo


class Fate(Enum):
    """What becomes of a message of the client's: it passes, or the connection breaks before it or its answer."""

    PASS = auto()
    CUT = auto()
    LOSE_ANSWER = auto()


class Proxy:
    """Bound at once, so that the port is ours; connections are refused until `listen`. `fate` decides what becomes of
    each message."""

    def __init__(self, dsn: str) -> None:
        self._parts = conninfo.conninfo_to_dict(dsn)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        port = self._listener.getsockname()[1]
        self.dsn = conninfo.make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
        self.fate: Callable[[bytes], Fate] = lambda message: Fate.PASS

        self._flows = threading.Event()
        self._flows.set()

    def freeze(self) -> None:
        """From now on every packet vanishes on its way, as where a cable was pulled: nobody is told."""
        self._flows.clear()

    def thaw(self) -> None:
        """What is sent arrives again, and what was held up, too."""
        self._flows.set()

    def listen(self) -> None:
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._flows.set()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._server()
                self._open += [client, server]
                lost = threading.Event()
                threading.Thread(target=self._ask, args=[client, server, lost], daemon=True).start()
                threading.Thread(target=self._answer, args=[server, client, lost], daemon=True).start()

    def _server(self) -> socket.socket:
        host, port = str(self._parts.get("host") or "localhost"), str(self._parts.get("port") or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{host}/.s.PGSQL.{port}")
        return connection

    def _ask(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                self._flows.wait()
                match self.fate(data):
                    case Fate.CUT:
                        server.shutdown(socket.SHUT_RDWR)
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    case Fate.LOSE_ANSWER:
                        lost.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                self._flows.wait()
                if lost.is_set():
                    client.shutdown(socket.SHUT_RDWR)
                    server.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
