"""What the database and Python allow at best: the ceiling that `reproq bench drain` is compared with. FROZEN.

A minimal table with its pkey and the claim index, two plain connections, the statement shapes of the contracts in
batches of 500, claims asynchronous, finalises synchronous. Changing it moves every ratio that was ever published.

Run: python -m reproq.loadtest.bench.ceiling DSN RUNS; prints {"runs_per_second": ...} as JSON. Its table lives in a
schema of its own, `reproq_ceiling`, which is dropped at the end, also when it is interrupted. It shares nothing with
the store, which could move it: hence its own connections and its own SQL.
"""

import json
import queue
import sys
import threading
import time

import psycopg

BATCH = 500
TABLE = """
CREATE SCHEMA reproq_ceiling;
CREATE TABLE reproq_ceiling.run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, queue_name text NOT NULL, priority smallint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(), status text NOT NULL DEFAULT 'READY', args json NOT NULL,
    claim_token bigint, lease_expires_at timestamptz, finished_at timestamptz, return_value json
);
CREATE INDEX ON reproq_ceiling.run (queue_name, priority DESC, due_at, id) WHERE status = 'READY';
"""
FILL = """
INSERT INTO reproq_ceiling.run (queue_name, args)
SELECT 'default', json_build_array(0, i, repeat('x', 100)) FROM generate_series(1, %s::int) i
"""
CLAIM = """
UPDATE reproq_ceiling.run SET status = 'RUNNING', claim_token = %(token)s::bigint,
    lease_expires_at = now() + interval '30 s'
WHERE (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL AND id = ANY(ARRAY(
    SELECT id FROM reproq_ceiling.run WHERE status = 'READY' AND queue_name = 'default'
    ORDER BY priority DESC, due_at, id LIMIT %(limit)s::int FOR UPDATE SKIP LOCKED))
RETURNING id, args::text
"""
FINALIZE = """
UPDATE reproq_ceiling.run SET status = 'SUCCESSFUL', finished_at = now(), claim_token = NULL, lease_expires_at = NULL,
    return_value = (%(values)s::text[])[array_position(%(ids)s::bigint[], id)]::json
WHERE id = ANY(%(ids)s::bigint[]) AND status = 'RUNNING'
    AND claim_token = (%(tokens)s::bigint[])[array_position(%(ids)s::bigint[], id)]
"""


def measure(dsn: str, runs: int) -> float:
    """Runs a second from the first claim to the last stored end."""
    claimed: queue.Queue[tuple[int, list[int]] | None] = queue.Queue(4)

    def claim() -> None:
        try:
            with psycopg.connect(dsn, autocommit=True) as pg:
                token = 0
                while True:
                    token += 1
                    rows = pg.execute(CLAIM, {"token": token, "limit": BATCH}, prepare=True).fetchall()
                    if not rows:
                        return
                    claimed.put((token, sorted(run_id for run_id, _ in rows)))
        finally:
            claimed.put(None)

    with psycopg.connect(dsn, autocommit=True) as pg:
        pg.execute(TABLE)
        try:
            pg.execute(FILL, [runs])
            pg.execute("VACUUM ANALYZE reproq_ceiling.run")
            began = time.perf_counter()
            claimer = threading.Thread(target=claim, daemon=True)
            claimer.start()
            done = 0
            while (batch := claimed.get()) is not None:
                token, ids = batch
                params = {"ids": ids, "tokens": [token] * len(ids), "values": ["null"] * len(ids)}
                done += pg.execute(FINALIZE, params, prepare=True).rowcount
            seconds = time.perf_counter() - began
            claimer.join()
        finally:
            pg.execute("DROP SCHEMA reproq_ceiling CASCADE")
    if done != runs:
        raise SystemExit(f"only {done} of {runs} runs were finalised: no figure")
    return runs / seconds


if __name__ == "__main__":
    print(json.dumps({"runs_per_second": measure(sys.argv[1], int(sys.argv[2]))}))
