-- How many runs finished within the window, by status, read through the index on finished_at.
SELECT status, count(*)
FROM task_runs
WHERE finished_at > coalesce(%(now)s::timestamptz, now()) - %(window_seconds)s::float8 * interval '1 second'
GROUP BY status
