-- One run is inserted as a program without Reproq would insert it.
INSERT INTO task_runs (
    nonce, backend, task_path, args, kwargs, spec_hash, queue_name, enqueued_at, due_at, status, max_attempts
)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
RETURNING id, enqueued_at, run_after
