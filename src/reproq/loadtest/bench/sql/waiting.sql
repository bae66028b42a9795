-- How many runs of one queue are not finished, and when that was.
SELECT count(*), extract(epoch FROM statement_timestamp())::float8
FROM task_runs
WHERE queue_name = %(queue)s::text AND finished_at IS NULL
