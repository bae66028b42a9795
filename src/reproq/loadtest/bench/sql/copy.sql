-- Runs are copied in as a program without Reproq would copy them.
COPY task_runs (
    nonce, backend, task_path, args, kwargs, spec_hash, queue_name, enqueued_at, due_at, status, max_attempts
) FROM STDIN
