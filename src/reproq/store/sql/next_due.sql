-- Seconds until the next SCHEDULED run falls due, negative when it is overdue; NULL when there is none.
SELECT extract(epoch FROM min(due_at) - coalesce(%(now)s::timestamptz, now()))::float8
FROM task_runs
WHERE status = 'SCHEDULED'
