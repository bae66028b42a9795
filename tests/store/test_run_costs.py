"""What a whole run writes: WAL and index entries of its enqueue, its claim and its finalise, in batches of 500."""

import re
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from reproq.lifecycle import Status, Verdict
from reproq.spec import make_spec
from reproq.store.finalising import Finalisation, finalize
from reproq.store.runs import NewRun, enqueue_many
from reproq_django.embedded.server import Server
from tests.plugins.databases import binaries, migrate, own_server
from tests.store.rows import claim

BATCH = 500
RUNS = 4 * BATCH
MOST_WAL_BYTES = 2000
MOST_ENTRIES = 9
DONE = Verdict(Status.SUCCESSFUL, return_json='{"lines":120,"functions":7}')


@pytest.fixture(scope="module")
def server_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that nobody else writes to, migrated; without vacuum, which would write in between."""
    server = own_server(tmp_path_factory.mktemp("costs"))
    with server.running(mode="immediate"):
        migrate(server.conninfo("postgres"))
        yield server


@pytest.fixture
def pg(server_of_its_own: Server) -> Iterator[psycopg.Connection]:
    """One connection, and a table whose pages and indexes are in use, not new."""
    with psycopg.connect(server_of_its_own.conninfo("postgres"), autocommit=True) as connection:
        whole_runs(connection)
        yield connection


def whole_runs(pg: psycopg.Connection) -> None:
    """Enqueue RUNS runs with 100 bytes of arguments; claim and end them all."""
    for start in range(0, RUNS, BATCH):
        numbers = range(start, start + BATCH)
        specs = [make_spec("app.tasks.parse", [f"{number:098d}"], {}) for number in numbers]
        with pg.transaction(), pg.cursor() as cursor:
            enqueue_many(cursor, [NewRun(spec=spec, nonce=number) for number, spec in zip(numbers, specs, strict=True)])
    token = 0
    while True:
        token += 1
        with pg.transaction(), pg.cursor() as cursor:
            claimed = claim(cursor, limit=BATCH, token=token, now=None)
        if not claimed:
            return
        ends = [Finalisation(one.claim.run_id, token, DONE, 1.0, 2.0) for one in claimed]
        with pg.transaction(), pg.cursor() as cursor:
            assert len(finalize(cursor, ends, 3.0)) == len(claimed)


def position(pg: psycopg.Connection) -> str:
    row = pg.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
    assert row is not None
    return str(row[0])


def test_a_whole_run_writes_two_thousand_bytes_of_wal_at_most(pg: psycopg.Connection) -> None:
    began = position(pg)
    whole_runs(pg)
    row = pg.execute("SELECT pg_current_wal_flush_lsn() - %s::pg_lsn", [began]).fetchone()
    assert row is not None
    assert 500 < row[0] / RUNS <= MOST_WAL_BYTES


def test_a_whole_run_makes_nine_index_entries_at_most(pg: psycopg.Connection, server_of_its_own: Server) -> None:
    """Counted in the write-ahead log by PostgreSQL's own reader of it: a split of a page inserts an entry, too."""
    began = position(pg)
    whole_runs(pg)
    folder = server_of_its_own.data / "pg_wal"
    command = [binaries() / "pg_waldump", "--rmgr=Btree", f"--start={began}", f"--end={position(pg)}", "--path", folder]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "desc: INSERT_LEAF" in shown.stdout, shown.stderr
    entries = len(re.findall(r"desc: (?:INSERT_LEAF|INSERT_POST|SPLIT_[LR]) ", shown.stdout))
    assert 5 < entries / RUNS <= MOST_ENTRIES
