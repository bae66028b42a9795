-- The newest of the runs that match, at most `limit`, out of those from `from_id` to `before_id` and, with `everywhere`,
-- the first `size` of what each index finds, so that no list reads the whole table.
WITH looked_at AS (
    SELECT id FROM task_runs WHERE id >= %(from_id)s::bigint AND id < %(before_id)s::bigint
    UNION ALL
    (
        SELECT id FROM task_runs
        WHERE worker_id IS NOT NULL AND %(everywhere)s::bool AND coalesce(%(status)s::text, 'RUNNING') = 'RUNNING'
        ORDER BY worker_id
        LIMIT %(size)s::int
    )
    UNION ALL
    (
        SELECT id FROM task_runs
        WHERE status = 'SCHEDULED' AND %(everywhere)s::bool AND coalesce(%(status)s::text, 'SCHEDULED') = 'SCHEDULED'
        ORDER BY due_at
        LIMIT %(size)s::int
    )
    UNION ALL
    (
        SELECT id FROM task_runs
        WHERE
            status = 'READY' AND %(everywhere)s::bool AND coalesce(%(status)s::text, 'READY') = 'READY'
            AND (%(queue_name)s::text IS NULL OR queue_name = %(queue_name)s::text)
        ORDER BY queue_name, priority DESC, due_at, id
        LIMIT %(size)s::int
    )
    UNION ALL
    (
        SELECT id FROM task_runs
        WHERE
            finished_at IS NOT NULL AND %(everywhere)s::bool
            AND coalesce(%(status)s::text, 'FAILED') NOT IN ('WAITING', 'SCHEDULED', 'READY', 'RUNNING')
        ORDER BY finished_at DESC
        LIMIT %(size)s::int
    )
    UNION ALL
    (
        SELECT id FROM task_runs
        WHERE
            left(spec_hash, 12) = left(%(spec_hash)s::text, 12) AND length(%(spec_hash)s::text) >= 12
            AND finished_at IS NOT NULL
        LIMIT %(size)s::int
    )
)
SELECT
    id, nonce, task_path, queue_name, priority, status, attempts, failures, max_attempts, enqueued_at, due_at, started_at,
    last_attempted_at, finished_at, spec_hash, waiting_reason, errors -> -1 ->> 'kind', errors -> -1 ->> 'exception_class',
    errors -> -1 ->> 'message'
FROM task_runs
WHERE
    id = ANY(ARRAY(SELECT id FROM looked_at))
    AND id < %(before_id)s::bigint
    AND (%(status)s::text IS NULL OR status = %(status)s::text)
    AND (%(queue_name)s::text IS NULL OR queue_name = %(queue_name)s::text)
    AND (%(task_path)s::text IS NULL OR task_path = %(task_path)s::text)
    AND (%(spec_hash)s::text IS NULL OR starts_with(spec_hash, %(spec_hash)s::text))
    AND (%(error_kind)s::text IS NULL OR errors -> -1 ->> 'kind' = %(error_kind)s::text)
    AND (
        %(since_seconds)s::float8 IS NULL
        OR enqueued_at >= coalesce(%(now)s::timestamptz, now()) - %(since_seconds)s::float8 * interval '1 second'
    )
ORDER BY id DESC
LIMIT %(limit)s::int
