-- No run falls due, or starts, before its run_after.
SELECT run.id, concat('run_after ', run.run_after, ', due ', run.due_at, ', started ', coalesce(run.started_at::text, 'never'))
FROM task_runs AS run
WHERE
    run.id = ANY(%(ids)s::bigint[])
    -- one that expired may be enqueued again by hand, and is due at once then
    AND NOT run.errors @> '[{"kind": "expired"}]'
    AND (
        (run.due_at < run.run_after AND run.attempts = 0)
        OR run.started_at < run.run_after - %(slack_seconds)s::float8 * interval '1 second'
    )
