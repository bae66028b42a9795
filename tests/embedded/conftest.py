"""Folders whose servers are stopped whatever a test did, and one running server for the tests that only look."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reproq_django.embedded.processes import server_processes
from reproq_django.embedded.server import Server

FAST = {"fsync": "off"}
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")

type NewServer = Callable[..., Server]


@pytest.fixture
def new_server(tmp_path: Path, open_folder: Path) -> Iterator[NewServer]:
    """Servers without fsync, in the folder named or in a new one; ended with the test, and none may be left."""
    made: list[Server] = []

    def make(path: Path | None = None, **options: object) -> Server:
        server = Server(path or tmp_path / f"db{len(made)}", settings=FAST, **options)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop("immediate")
        assert server_processes(server.data) == []


@pytest.fixture(scope="session")
def shared() -> Iterator[Server]:
    """One running PostgreSQL 18. Whoever stops it starts it again."""
    with tempfile.TemporaryDirectory(prefix="shared") as folder:
        with Server(Path(folder, "db"), settings=FAST).running(mode="immediate") as server:
            yield server
        assert server_processes(server.data) == []
