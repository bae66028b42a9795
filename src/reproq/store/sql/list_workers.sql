-- The workers that have a row, with the seconds since they were last seen: none where a heartbeat came after `now`.
SELECT
    worker_id, hostname, pid, queues, executor, concurrency, version, started_at, draining, role, beats,
    greatest(0, extract(epoch FROM coalesce(%(now)s::timestamptz, now()) - last_seen_at)::float8)
FROM reproq_workers
ORDER BY worker_id
