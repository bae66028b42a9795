"""A server that can be reached over TCP, at an address of a network that a test made. Ours listen on sockets only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import conninfo

from reproq_django.embedded import sockets
from reproq_django.embedded.ownership import runner_for
from tests.acceptance.network import HUB_ADDRESS, Network
from tests.plugins.databases import binaries, own_server, prepare

START_SECONDS = 60.0
ADMIT = "echo 'host all all samenet trust' >> data/pg_hba.conf"
START = """{programs}/pg_ctl start -D data -l log -s -w -o "-c listen_addresses={address} -c fsync=off \\
    -c unix_socket_directories={sockets} -c max_connections=100" """


@contextmanager
def server_in(network: Network, folder: Path) -> Iterator[tuple[str, str]]:
    """A server in the hub of a network with a migrated database; its addresses on this host and from the others."""
    server = own_server(folder)
    with server.running():
        migrated = prepare(server.conninfo())
    runner = runner_for(server.path, binaries())
    sockets.claim(place := server.socket_folder, runner.uid, runner.gid)
    start = START.format(programs=binaries(), address=HUB_ADDRESS, sockets=place)
    with network.inside(network.hub):
        command = ["/bin/sh", "-c", f"{ADMIT} && {start}"]
        code, said = runner.run(command, cwd=server.path, timeout_seconds=START_SECONDS)
    assert code == 0, said
    try:
        yield migrated, conninfo.make_conninfo(migrated, host=HUB_ADDRESS)
    finally:
        server.stop("immediate")
