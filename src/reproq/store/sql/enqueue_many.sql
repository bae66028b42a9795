-- The runs are inserted in their order, in the caller's own transaction, each as enqueue.sql would insert it; what many share is sent once.
WITH enqueued AS (
    INSERT INTO task_runs (
        nonce, backend, task_path, args, kwargs, spec_hash, queue_name, priority,
        run_after, expires_at, enqueued_at, due_at, status, max_attempts, backoff_seconds, timeout_seconds,
        on_lost_contact
    )
    SELECT
        run.nonce, term.backend, run.task_path, run.args, run.kwargs, run.spec_hash, term.queue_name, term.priority,
        due.run_after,
        greatest(due.run_after, clock.moment) + term.expires_in_seconds * interval '1 second',
        clock.moment, coalesce(due.run_after, clock.moment),
        CASE WHEN due.run_after > clock.moment THEN 'SCHEDULED' ELSE 'READY' END,
        term.max_attempts, term.backoff_seconds::float8[], term.timeout_seconds,
        nullif(term.on_lost_contact, 'continue')
    FROM
        (SELECT coalesce(%(now)s::timestamptz, now()) AS moment) AS clock,
        unnest(
            %(nonces)s::bigint[], %(task_paths)s::text[], %(args)s::json[], %(kwargs)s::json[], %(spec_hashes)s::text[],
            %(terms)s::bigint[]
        ) WITH ORDINALITY AS run (nonce, task_path, args, kwargs, spec_hash, terms, place)
        JOIN unnest(
            %(backends)s::text[], %(queue_names)s::text[], %(priorities)s::smallint[], %(run_afters)s::timestamptz[],
            %(delays_seconds)s::float8[], %(expires_in_seconds)s::float8[], %(max_attempts)s::int[],
            %(backoffs_seconds)s::text[], %(timeouts_seconds)s::float8[], %(on_lost_contacts)s::text[]
        ) WITH ORDINALITY AS term (
            backend, queue_name, priority, run_after, delay_seconds, expires_in_seconds, max_attempts, backoff_seconds,
            timeout_seconds, on_lost_contact, place
        ) ON term.place = run.terms,
        LATERAL (
            SELECT coalesce(term.run_after, clock.moment + term.delay_seconds * interval '1 second') AS run_after
        ) AS due
    ORDER BY run.place
    RETURNING id, enqueued_at, run_after
)
SELECT
    array_agg(id ORDER BY id),
    min(enqueued_at),
    CASE WHEN count(run_after) > 0 THEN array_agg(run_after ORDER BY id) END
FROM enqueued
