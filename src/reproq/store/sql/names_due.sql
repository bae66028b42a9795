-- The names of periodic tasks that are due, or whose queued tick need wait no longer.
SELECT name
FROM periodic_tasks
WHERE
    enabled
    AND fault = ''
    AND (
        (next_run_at <= coalesce(%(now)s::timestamptz, now()) AND computed_until >= coalesce(%(now)s::timestamptz, now()))
        OR (
            queued_due_at IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM task_runs AS run WHERE run.id = periodic_tasks.last_run_id AND run.finished_at IS NULL
            )
        )
    )
ORDER BY next_run_at
LIMIT %(limit)s::int
