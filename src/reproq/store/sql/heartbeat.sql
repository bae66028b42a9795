-- The worker was seen now, by this server; no row means that somebody removed it or took it over: it registers again.
UPDATE reproq_workers
SET last_seen_at = coalesce(%(now)s::timestamptz, now()), draining = %(draining)s::bool
WHERE worker_id = %(worker_id)s::text AND hostname = %(hostname)s::text AND pid = %(pid)s::int
RETURNING pg_postmaster_start_time()
