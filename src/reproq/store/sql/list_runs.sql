-- The newest runs below an id, at most `limit`, in the order of their ids: a keyset page, never an offset.
SELECT
    id, nonce, task_path, queue_name, priority, status, attempts, failures, max_attempts, enqueued_at, due_at, started_at,
    last_attempted_at, finished_at, spec_hash, waiting_reason, errors -> -1 ->> 'kind', errors -> -1 ->> 'message'
FROM task_runs
WHERE
    id < %(before_id)s::bigint
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
