"""What a claim and a finalise cost per run, in batches, on a server of its own: `python benchmarks/store_batches.py`.

Prints one line a batch size: microseconds per run of claim.sql and finalize.sql, commit included.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import conninfo

from reproq.lifecycle import Failure, Kind, Status, Verdict
from reproq.store import claims
from reproq.store.claims import Claimed
from reproq.store.finalising import Finalisation, finalize
from reproq_django.embedded.server import Server

ROOT = Path(__file__).parent.parent
SUCCESS = Verdict(Status.SUCCESSFUL, return_json='{"lines":120,"functions":7}')
FAILURE = Verdict(
    Status.SCHEDULED,
    error=Failure(Kind.EXCEPTION, "builtins.ValueError", "it went wrong", "Traceback (most recent call last): …" * 8),
    delay_seconds=10.0,
    counts_failure=True,
    waiting_reason="retry after exception, failure 1 of 3",
)


@contextmanager
def migrated(version: int) -> Iterator[str]:
    """The address of a migrated database on a new server with its default settings; all of it is gone afterwards."""
    binaries = Path("/usr/lib/postgresql/15/bin") if version == 15 else None
    with tempfile.TemporaryDirectory(prefix="reproq-bench-") as folder:
        server = Server(Path(folder) / "server", binaries=binaries, version=version)
        with server.running(mode="immediate"):
            dsn = server.conninfo("postgres")
            environment = os.environ | {
                "REPROQ_TEST_DSN": dsn,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            }
            subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], check=True, env=environment, cwd=ROOT)
            yield dsn


def load(pg: psycopg.Connection, runs: int) -> None:
    pg.execute("TRUNCATE task_runs")
    pg.execute(
        "INSERT INTO task_runs (task_path, args, spec_hash, queue_name, priority)"
        " SELECT 'app.tasks.parse', json_build_array('module_' || i, i), encode(sha256(i::text::bytea), 'hex'),"
        " 'default', i %% 3 FROM generate_series(1, %(runs)s::int) i",
        {"runs": runs},
    )
    pg.execute("VACUUM ANALYZE task_runs")


def measure(pg: psycopg.Connection, size: int, failing: int) -> tuple[list[float], list[float]]:
    """Microseconds per run of each claim and each finalise until no run is READY; every `failing`-th run fails."""
    claiming, finalising = [], []
    for token in range(1, 1_000_000):
        began = time.perf_counter()
        claimed = claim(pg, size, token)
        ended = time.perf_counter()
        if not claimed:
            break
        claiming.append((ended - began) / len(claimed) * 1e6)
        batch = [end(one, FAILURE if failing and one.claim.run_id % failing == 0 else SUCCESS) for one in claimed]
        began = time.perf_counter()
        with pg.transaction(), pg.cursor() as cursor:
            assert len(finalize(cursor, batch, time.monotonic())) == len(claimed)
        finalising.append((time.perf_counter() - began) / len(claimed) * 1e6)
    return claiming, finalising


def claim(pg: psycopg.Connection, size: int, token: int) -> list[Claimed]:
    with pg.transaction(), pg.cursor() as cursor:
        return claims.claim(cursor, queues=["default"], limit=size, token=token, worker_id="bench", lease_seconds=30.0)


def end(claimed: Claimed, verdict: Verdict) -> Finalisation:
    now = time.monotonic()
    return Finalisation(claimed.claim.run_id, claimed.claim.token, verdict, now - 0.01, now)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", type=int, default=18, choices=(15, 16, 18))
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--failing", type=int, default=0, help="every n-th run fails; 0: none")
    parser.add_argument("--dsn", help="a migrated database of yours, whose runs are deleted")
    given = parser.parse_args()
    if given.dsn:
        report(given.dsn, given.runs, given.failing)
    else:
        with migrated(given.postgres) as dsn:
            report(dsn, given.runs, given.failing)


def report(dsn: str, runs: int, failing: int) -> None:
    with psycopg.connect(conninfo.make_conninfo(dsn), autocommit=True) as pg:
        print(
            f"PostgreSQL {pg.info.server_version // 10000}, {runs} runs; microseconds a run, medians and the best batch"
        )
        print(f"{'batch':>6} {'claim':>8} {'finalise':>9} {'best claim':>11} {'best finalise':>14} {'runs/s':>8}")
        for size in (1, 10, 100, 500):
            load(pg, min(runs, size * 1000))
            claiming, finalising = measure(pg, size, failing)
            both = statistics.median(claiming) + statistics.median(finalising)
            print(
                f"{size:>6} {statistics.median(claiming):>8.1f} {statistics.median(finalising):>9.1f}"
                f" {min(claiming):>11.1f} {min(finalising):>14.1f} {1e6 / both:>8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
