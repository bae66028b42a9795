-- Seconds until the next SCHEDULED run falls due, negative when it is overdue; no row when there is none.
SELECT extract(epoch FROM due_at - coalesce(%(now)s::timestamptz, now()))::float8
FROM task_runs
WHERE status = 'SCHEDULED'
ORDER BY due_at
LIMIT 1
