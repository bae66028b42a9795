-- Claims whose lease ran out on a server that is up for longer than a lease, locked for the one rescuer that decides.
SELECT
    id, claim_token, attempts, failures, releases, max_attempts, spec_hash, backoff_seconds, worker_id, task_path
FROM task_runs
WHERE
    worker_id IS NOT NULL
    AND lease_expires_at < coalesce(%(now)s::timestamptz, now())
    AND (
        %(now)s::timestamptz IS NOT NULL
        OR now() - pg_postmaster_start_time() > %(lease_seconds)s::float8 * interval '1 second'
    )
ORDER BY id
LIMIT %(limit)s::int
FOR UPDATE SKIP LOCKED
