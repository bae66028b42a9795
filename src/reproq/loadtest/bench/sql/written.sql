-- The columns of these runs as a plain INSERT or COPY writes them, in another queue, whatever has become of the runs.
SELECT
    nonce, backend, task_path, args::text, kwargs::text, spec_hash, %(queue)s::text, enqueued_at, due_at, 'READY',
    max_attempts
FROM task_runs
WHERE id = ANY(%(ids)s::bigint[])
ORDER BY id
