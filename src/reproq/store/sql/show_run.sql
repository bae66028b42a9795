-- Everything about one run, texts as they are stored.
SELECT
    id, nonce, backend, task_path, args::text, kwargs::text, spec_hash, queue_name, priority, run_after, expires_at,
    due_at, status, attempts, worker_ids, failures, max_attempts, releases, worker_id, lease_expires_at, claimed_at,
    enqueued_at, started_at, last_attempted_at, finished_at, return_value::text, errors::text, waiting_reason,
    timeout_seconds, coalesce(on_lost_contact, 'continue'), backoff_seconds, cancel_requested_at, replay_of
FROM task_runs
WHERE id = %(run_id)s::bigint
