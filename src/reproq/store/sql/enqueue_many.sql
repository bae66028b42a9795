-- The runs are inserted in their order, in the caller's own transaction, each as enqueue.sql would insert it.
INSERT INTO task_runs (
    nonce, backend, task_path, args, kwargs, spec_hash, queue_name, priority,
    run_after, expires_at, enqueued_at, due_at, status, max_attempts, backoff_seconds, timeout_seconds,
    on_lost_contact
)
SELECT
    run.nonce, run.backend, run.task_path, run.args, run.kwargs, run.spec_hash, run.queue_name, run.priority,
    due.run_after,
    greatest(due.run_after, clock.moment) + run.expires_in_seconds * interval '1 second',
    clock.moment, coalesce(due.run_after, clock.moment),
    CASE WHEN due.run_after > clock.moment THEN 'SCHEDULED' ELSE 'READY' END,
    run.max_attempts, run.backoff_seconds::float8[], run.timeout_seconds, run.on_lost_contact
FROM
    (SELECT coalesce(%(now)s::timestamptz, now()) AS moment) AS clock,
    unnest(
        %(nonces)s::bigint[], %(backends)s::text[], %(task_paths)s::text[], %(args)s::json[], %(kwargs)s::json[],
        %(spec_hashes)s::text[], %(queue_names)s::text[], %(priorities)s::smallint[], %(run_afters)s::timestamptz[],
        %(delays_seconds)s::float8[], %(expires_in_seconds)s::float8[], %(max_attempts)s::int[],
        %(backoffs_seconds)s::text[], %(timeouts_seconds)s::float8[], %(on_lost_contacts)s::text[]
    ) WITH ORDINALITY AS run (
        nonce, backend, task_path, args, kwargs, spec_hash, queue_name, priority, run_after, delay_seconds,
        expires_in_seconds, max_attempts, backoff_seconds, timeout_seconds, on_lost_contact, place
    ),
    LATERAL (
        SELECT coalesce(run.run_after, clock.moment + run.delay_seconds * interval '1 second') AS run_after
    ) AS due
ORDER BY run.place
RETURNING id, enqueued_at, run_after
