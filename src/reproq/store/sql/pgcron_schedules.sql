-- What the planner of pg_cron's jobs has to know of each periodic task that is on.
SELECT id, name, cron_expr, time_zone, jitter_seconds, overlap, catch_up
FROM periodic_tasks
WHERE enabled
ORDER BY id
