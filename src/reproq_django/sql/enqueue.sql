-- Enqueue from SQL: a trigger, a procedure, another program. The same spec, hash, bounds and defaults as from Python.
-- The body is parsed when it is created, so that no search_path can lead it to another table.

CREATE OR REPLACE FUNCTION reproq_enqueue(
    task_path text,
    args json DEFAULT '[]',
    kwargs json DEFAULT '{}',
    queue_name text DEFAULT 'default',
    priority integer DEFAULT 0,
    run_after timestamptz DEFAULT NULL,
    max_attempts integer DEFAULT 3,
    timeout_seconds double precision DEFAULT NULL,
    backend text DEFAULT 'default',
    expires_at timestamptz DEFAULT NULL,
    on_lost_contact text DEFAULT 'continue',  -- since 0004
    now timestamptz DEFAULT NULL
)
RETURNS bigint
LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO task_runs (
        backend, task_path, args, kwargs, queue_name, priority, run_after, max_attempts, timeout_seconds, expires_at,
        on_lost_contact,  -- since 0004
        enqueued_at, due_at
    )
    SELECT
        $9, $1, reproq_within_bounds($2, $3), $3, $4, $5::smallint, $6, $7, $8, $10,
        nullif(on_lost_contact, 'continue'),  -- since 0004
        coalesce(now, statement_timestamp()), coalesce($6, now, statement_timestamp())
    RETURNING id;
END;
