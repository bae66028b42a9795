-- Claims whose lease ran out on a server that is up for longer than a lease, locked for the one rescuer that decides, but for
-- those of a worker that lives and has renewed them before, but was kept from it now, which has some leases more.
SELECT
    run.id, run.claim_token, run.attempts, run.failures, run.releases, run.max_attempts, run.spec_hash,
    run.backoff_seconds, run.worker_id, run.task_path
FROM task_runs AS run
WHERE
    run.worker_id IS NOT NULL
    AND run.lease_expires_at < coalesce(%(now)s::timestamptz, now())
    AND (
        %(now)s::timestamptz IS NOT NULL
        OR now() - pg_postmaster_start_time() > %(lease_seconds)s::float8 * interval '1 second'
    )
    AND NOT (
        run.lease_expires_at > coalesce(%(now)s::timestamptz, now()) - %(patience_seconds)s::float8 * interval '1 second'
        AND run.lease_expires_at > run.claimed_at + %(lease_seconds)s::float8 * interval '1 second'
        AND EXISTS (
            SELECT FROM reproq_workers AS owner
            WHERE
                owner.worker_id = run.worker_id
                AND owner.started_at <= run.claimed_at
                AND owner.last_seen_at
                    > coalesce(%(now)s::timestamptz, now()) - %(lease_seconds)s::float8 * interval '1 second'
        )
    )
ORDER BY run.id
LIMIT %(limit)s::int
FOR UPDATE OF run SKIP LOCKED
