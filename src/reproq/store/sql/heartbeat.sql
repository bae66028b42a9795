-- The worker was seen now; no row means that somebody removed it or another process took it over: it registers again.
UPDATE reproq_workers
SET last_seen_at = coalesce(%(now)s::timestamptz, now()), draining = %(draining)s::bool
WHERE worker_id = %(worker_id)s::text AND hostname = %(hostname)s::text AND pid = %(pid)s::int
RETURNING worker_id
