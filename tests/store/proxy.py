"""A port of this host that nobody listens on until `listen` is called; then it leads to the test's server."""

import contextlib
import socket
import threading

from psycopg import conninfo


class Proxy:
    """Bound at once, so that the port is ours; connections are refused until `listen`."""

    def __init__(self, dsn: str) -> None:
        self._parts = conninfo.conninfo_to_dict(dsn)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        port = self._listener.getsockname()[1]
        self.dsn = conninfo.make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")

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
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=[source, sink, self._flows], daemon=True).start()

    def _server(self) -> socket.socket:
        host, port = str(self._parts.get("host") or "localhost"), str(self._parts.get("port") or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{host}/.s.PGSQL.{port}")
        return connection


def _pump(source: socket.socket, sink: socket.socket, flows: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            flows.wait()
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
