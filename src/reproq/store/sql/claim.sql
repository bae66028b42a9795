-- At most `limit` READY runs become RUNNING under one token, the most urgent of all queues first; this commit may be lost.
UPDATE task_runs
SET
    status = 'RUNNING',
    attempts = attempts + 1,
    worker_ids = worker_ids || %(worker_id)s::text,
    claim_token = %(token)s::bigint,
    worker_id = %(worker_id)s::text,
    claimed_at = coalesce(%(now)s::timestamptz, now()),
    lease_expires_at = coalesce(%(now)s::timestamptz, now()) + %(lease_seconds)s::float8 * interval '1 second',
    waiting_reason = NULL
WHERE
    (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    AND id = ANY(ARRAY(
        SELECT head.id
        FROM unnest(%(queues)s::text[]) AS queue (name)
        CROSS JOIN LATERAL (
            SELECT run.id, run.priority, run.due_at
            FROM task_runs AS run
            WHERE
                run.status = 'READY'
                AND run.queue_name = queue.name
                AND NOT (
                    run.task_path = ANY(%(unknown_paths)s::text[])
                    AND run.due_at > coalesce(%(now)s::timestamptz, now())
                        - %(others_first_seconds)s::float8 * interval '1 second'
                )
            ORDER BY run.priority DESC, run.due_at, run.id
            LIMIT %(limit)s::int
            FOR UPDATE SKIP LOCKED
        ) AS head
        ORDER BY head.priority DESC, head.due_at, head.id
        LIMIT %(limit)s::int
    ))
RETURNING
    id, nonce, claim_token, attempts, failures, releases, max_attempts, spec_hash, backoff_seconds,
    CASE WHEN errors -> -1 ->> 'kind' = 'unknown_task'
        THEN coalesce(extract(epoch FROM claimed_at - (errors -> -1 ->> 'first_at')::timestamptz)::float8, 0)
        ELSE 0 END,
    backend, task_path, args::text, kwargs::text, queue_name, priority, run_after, enqueued_at, started_at,
    last_attempted_at, worker_ids, errors::text, timeout_seconds, due_at, claimed_at,
    expires_at IS NOT NULL AND started_at IS NULL AND expires_at <= claimed_at
