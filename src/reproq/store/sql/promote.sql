-- SCHEDULED runs that are due become READY, the longest due first, at most `limit` of them; this commit may be lost.
UPDATE task_runs
SET status = 'READY'
WHERE
    (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    AND id = ANY(ARRAY(
        SELECT run.id
        FROM task_runs AS run
        WHERE run.status = 'SCHEDULED' AND run.due_at <= coalesce(%(now)s::timestamptz, now())
        ORDER BY run.due_at
        LIMIT %(limit)s::int
        FOR UPDATE SKIP LOCKED
    ))
RETURNING id
