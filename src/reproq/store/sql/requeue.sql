-- A new run gets the stored texts of an old one, the same spec and hash, and remembers which run it replays.
INSERT INTO task_runs (
    backend, task_path, args, kwargs, spec_hash, queue_name, priority,
    enqueued_at, due_at, status, max_attempts, backoff_seconds, timeout_seconds,
    on_lost_contact, replay_of
)
SELECT
    backend, task_path, args, kwargs, spec_hash, queue_name, priority,
    coalesce(%(now)s::timestamptz, now()), coalesce(%(now)s::timestamptz, now()), 'READY',
    max_attempts, backoff_seconds, timeout_seconds, on_lost_contact, id
FROM task_runs
WHERE id = %(run_id)s::bigint
RETURNING id, spec_hash
