-- The worker's row is written, unless another one alive bears the same id: then no row comes back.
INSERT INTO reproq_workers (
    worker_id, hostname, pid, queues, executor, concurrency, version, role, beats, started_at,
    last_seen_at, draining
)
VALUES (
    %(worker_id)s::text, %(hostname)s::text, %(pid)s::int, %(queues)s::text[], %(executor)s::text,
    %(concurrency)s::int, %(version)s::text, %(role)s::text, %(beats)s::bool, coalesce(%(now)s::timestamptz, now()),
    coalesce(%(now)s::timestamptz, now()), false
)
ON CONFLICT (worker_id) DO UPDATE
SET
    hostname = excluded.hostname, pid = excluded.pid, queues = excluded.queues, executor = excluded.executor,
    concurrency = excluded.concurrency, version = excluded.version, role = excluded.role, beats = excluded.beats,
    started_at = excluded.started_at,
    last_seen_at = excluded.last_seen_at, draining = false, idle_queues = '{}'
WHERE
    reproq_workers.last_seen_at < excluded.last_seen_at - %(stale_after_seconds)s::float8 * interval '1 second'
    OR (reproq_workers.hostname = excluded.hostname AND reproq_workers.pid = excluded.pid)
RETURNING worker_id
