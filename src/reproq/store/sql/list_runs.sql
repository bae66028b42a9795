-- The newest runs below an id, at most `limit`, in the order of their ids: a keyset page, never an offset.
SELECT
    id, nonce, task_path, queue_name, priority, status, attempts, max_attempts, enqueued_at, due_at, started_at,
    last_attempted_at, finished_at, spec_hash, waiting_reason, errors -> -1 ->> 'kind', errors -> -1 ->> 'message'
FROM task_runs
WHERE
    id < %(before_id)s::bigint
    AND (%(status)s::text IS NULL OR status = %(status)s::text)
    AND (%(queue_name)s::text IS NULL OR queue_name = %(queue_name)s::text)
    AND (%(task_path)s::text IS NULL OR task_path = %(task_path)s::text)
ORDER BY id DESC
LIMIT %(limit)s::int
