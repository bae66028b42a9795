-- One run as TaskResult shows it, if id, nonce and backend match: while it runs, its claim is its start;
-- the nonce is CAST, since `::` would negate what is too large for a bigint.
SELECT
    id, nonce, task_path, args::text, kwargs::text, queue_name, priority, run_after, status, worker_ids,
    max_attempts, backoff_seconds, timeout_seconds, coalesce(on_lost_contact, 'continue'),
    extract(epoch FROM expires_at - greatest(run_after, enqueued_at))::float8, enqueued_at,
    CASE WHEN status = 'RUNNING' THEN coalesce(started_at, claimed_at) ELSE started_at END,
    CASE WHEN status = 'RUNNING' THEN claimed_at ELSE last_attempted_at END,
    finished_at, return_value::text, errors::text
FROM task_runs
WHERE id = %(run_id)s::bigint AND nonce = CAST(%(nonce)s AS bigint) AND backend = %(backend)s::text
