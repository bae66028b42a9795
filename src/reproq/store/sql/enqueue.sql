-- One run is inserted in the caller's own transaction, READY or SCHEDULED by the database's clock.
INSERT INTO task_runs (
    nonce, backend, task_path, args, kwargs, spec_hash, queue_name, priority,
    run_after, expires_at, enqueued_at, due_at, status, max_attempts, backoff_seconds, timeout_seconds
)
SELECT
    CAST(%(nonce)s AS bigint), %(backend)s::text, %(task_path)s::text, %(args)s::json, %(kwargs)s::json, %(spec_hash)s::text,
    %(queue_name)s::text, %(priority)s::smallint,
    due.run_after,
    greatest(due.run_after, clock.moment) + %(expires_in_seconds)s::float8 * interval '1 second',
    clock.moment, coalesce(due.run_after, clock.moment),
    CASE WHEN due.run_after > clock.moment THEN 'SCHEDULED' ELSE 'READY' END,
    %(max_attempts)s::int, %(backoff_seconds)s::float8[], %(timeout_seconds)s::float8
FROM (SELECT coalesce(%(now)s::timestamptz, now()) AS moment) AS clock,
LATERAL (
    SELECT coalesce(
        %(run_after)s::timestamptz, clock.moment + %(delay_seconds)s::float8 * interval '1 second'
    ) AS run_after
) AS due
RETURNING id, enqueued_at, run_after
