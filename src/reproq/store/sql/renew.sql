-- The leases of these claims are extended from the database's clock; what does not come back is no longer ours.
UPDATE task_runs
SET lease_expires_at = coalesce(%(now)s::timestamptz, now()) + %(lease_seconds)s::float8 * interval '1 second'
WHERE
    id = ANY(%(ids)s::bigint[])
    AND status = 'RUNNING'
    AND claim_token = (%(tokens)s::bigint[])[width_bucket(id, %(ids)s::bigint[])]
RETURNING id, cancel_requested_at IS NOT NULL
