-- The leases of these claims are extended from the database's clock, but for those whose rows somebody holds just now.
UPDATE task_runs
SET lease_expires_at = coalesce(%(now)s::timestamptz, now()) + %(lease_seconds)s::float8 * interval '1 second'
WHERE
    id = ANY(ARRAY(
        SELECT run.id
        FROM task_runs AS run
        WHERE
            run.id = ANY(%(ids)s::bigint[])
            AND run.status = 'RUNNING'
            AND run.claim_token = (%(tokens)s::bigint[])[width_bucket(run.id, %(ids)s::bigint[])]
        FOR NO KEY UPDATE SKIP LOCKED
    ))
RETURNING id, cancel_requested_at IS NOT NULL
